"""What every dialect turns its bytes into: an event that names its account, user and time, or a rejection."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.product_event import RecordType
from services.ingest.json_paths import JsonPath
from services.runtime.problems import Problem

ID_BYTES_MAX: Final = 255
# The field of an event that all dialects' bodies have its data in.
PROPERTIES: Final = "properties"
# Where dialects take an object or nothing.
OBJECT_PLACES: Final[tuple[JsonPath, ...]] = (
    *(("context",), ("context", "traits"), ("traits",), (PROPERTIES,)),
    *(("$set",), (PROPERTIES, "$set"), (PROPERTIES, "$group_set")),
)


class Rejected(Exception):
    """One event cannot be taken; the others of its batch can. `code` is stable, `message` says what to change."""

    def __init__(self, code: str, message: str, *, message_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.message_id = message_id


class BodyInvalid(Problem):
    """Nothing in the whole body can be taken."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(status, code, message)


class IncomingEvent(msgspec.Struct, gc=False):
    """One event as its client means it.

    `body` is the client's JSON object, checked; `timestamp` and `sent_at` are RFC 3339 text or epoch numbers as sent;
    `account_id` is what the event itself says first, `account_fallbacks` what it says last and where, none checked yet;
    `document` is the value of `body`, in which the places between those two are looked for.
    """

    type: RecordType
    body: bytes
    account_id: str | int | None
    user_id: str | None
    event: str | None
    message_id: str | None
    timestamp: str | float | None
    sent_at: str | float | None
    role: Any = None
    email: Any = None
    document: dict[str, Any] | None = None
    account_fallbacks: tuple[tuple[str, str | None], ...] = ()


class Rejection(msgspec.Struct):
    """An entry of the answer's `errors`."""

    index: int
    message_id: str | None
    code: str
    message: str


def checked_id(value: str, field: str) -> str:
    """`value` if it is short enough to be an id; raises Rejected `id_too_long`."""
    # Four bytes are the longest character, so most ids need not be encoded to be measured.
    if len(value) > ID_BYTES_MAX // 4 and len(value.encode()) > ID_BYTES_MAX:
        raise Rejected("id_too_long", f"Shorten {field} to at most {ID_BYTES_MAX} bytes of UTF-8.")
    return value
