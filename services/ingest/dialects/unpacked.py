"""What every dialect is given and what it gives: a request's body, taken apart into events that are read one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from services.ingest.dialects.type_errors import in_words
from services.ingest.events import OBJECT_PLACES, IncomingEvent, Rejected
from services.ingest.json_paths import value_at
from services.runtime import strict_json
from services.runtime.access import Scope
from services.runtime.strict_json import InvalidJson

# The bytes of one event inside its body, or a view of them.
Item: TypeAlias = bytes | msgspec.Raw


class Request(msgspec.Struct):
    """What a dialect may know besides the body.

    `type` is the record type that the path names, if it does; `may` tells which scopes the caller's key has;
    `group_types` are the kinds of group, where a dialect has several, that are accounts.
    """

    type: str | None
    headers: Mapping[bytes, bytes]
    received_at: datetime
    may: Callable[[Scope], bool]
    events_max: int
    event_bytes_max: int
    body_bytes_max: int
    group_types: tuple[str, ...]


class Unpacked(msgspec.Struct):
    """The unparsed events of a body, the function that reads one of them or raises Rejected, and what all share.

    `bytes_max` is the size beyond which one is rejected; `data_in` the field of an unparsed event that its body calls
    `properties`, None if it is that field's value; `copied_bytes` what reading all of them adds to the body.
    """

    items: list[Item]
    read: Callable[[Item], IncomingEvent]
    bytes_max: int
    key: str | None = None
    sent_at: str | float | None = None
    data_in: str | None = "properties"
    copied_bytes: int = 0


def strict_value(
    raw: bytes, *, bytes_max: int, suspicious: bool | None = None, depth_max: int = strict_json.DEPTH_MAX
) -> Any:
    """The value of one event's JSON; raises Rejected when it is too large or breaks a rule of strict_json."""
    check_size(raw, bytes_max=bytes_max)
    try:
        return strict_json.decode(raw, suspicious=suspicious, depth_max=depth_max)
    except InvalidJson as error:
        raise Rejected(error.code, error.message) from error


def check_size(raw: bytes, *, bytes_max: int) -> None:
    """Raises Rejected `event_too_large`; to be asked before anything is parsed."""
    if len(raw) > bytes_max:
        raise too_large(bytes_max)


def mend_empty_objects(document: Any) -> bool:
    """Put an object where `[]` stands in its place, which is how PHP writes one without fields; whether any did."""
    mended = False
    for path in OBJECT_PLACES:
        if value_at(document, path) == []:
            value_at(document, path[:-1])[path[-1]] = {}
            mended = True
    return mended


def event_invalid(error: msgspec.ValidationError, message_id: str | None) -> Rejected:
    """The rejection of an event of which a field holds what it cannot hold."""
    return Rejected("event_invalid", f"Correct the event: {in_words(error)}.", message_id=message_id)


def too_large(bytes_max: int, message_id: str | None = None) -> Rejected:
    """The rejection of an event beyond the limit."""
    message = f"Keep one event within {bytes_max} bytes, with the context of its batch."
    return Rejected("event_too_large", message, message_id=message_id)
