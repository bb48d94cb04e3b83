"""One record of a topic as the debugger shows it: who and when, what found its account, or why it was not taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from services.runtime import strict_json
from services.runtime.strict_json import InvalidJson

EventStatus = Literal["accepted", "unresolved", "dead"]

# Where clients of the dialects put what the filters ask for, most common first; dead letters are shown as they came.
_MESSAGE_ID = ("messageId", "message_id", "uuid", "id")
_EVENT = ("event", "command", "name")
_USER_ID = ("userId", "distinct_id", "$distinct_id", "user_id", "anonymousId")
_ACCOUNT_ID = ("groupId", "account_id")
_TYPE = ("type",)


class Kept(msgspec.Struct):
    """What the envelope of a record may say; records without an account leave out more."""

    message_id: str | None = None
    type: str | None = None
    account_id: str | None = None
    user_id: str | None = None
    event: str | None = None
    source: str | None = None
    route: str | None = None
    received_at: datetime | None = None
    occurred_at: datetime | None = None
    original_at: datetime | None = None
    sent_at: datetime | None = None
    role: str | None = None
    staff: bool = False
    flags: tuple[str, ...] = ()
    resolved_by: str | None = None
    reason: str | None = None
    message: str | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class EventRow(Kept, kw_only=True):
    """A row of the answer: when its record was written, and where. `waiting` is told for rows of an answer only."""

    status: EventStatus
    at: datetime
    partition: int
    offset: int
    waiting: bool | None = None


class Filters(NamedTuple):
    """What a row must be equal to; None matches all."""

    account_id: str | None = None
    user_id: str | None = None
    event: str | None = None
    message_id: str | None = None

    def match(self, row: Kept) -> bool:
        """Whether the row is asked for."""
        return all(
            wanted is None or wanted == found
            for wanted, found in zip(self, (row.account_id, row.user_id, row.event, row.message_id), strict=True)
        )


_decode_kept = msgspec.json.Decoder(Kept).decode


def picker(status: EventStatus, filters: Filters) -> Callable[[Any], EventRow | None]:
    """A function from a Kafka record to its row; None for a tick and for what the filters do not match."""
    read = _dead_letter if status == "dead" else _enveloped

    def pick(record: Any) -> EventRow | None:
        if record.value is None or (record.key is None and status == "accepted"):
            return None
        kept = read(record)
        if status == "unresolved" and kept.account_id is not None:
            # What an event that has its account teaches about its user is no event of its own.
            return None
        if not filters.match(kept):
            return None
        at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        return _row(kept, status, at, record.partition, record.offset)

    return pick


def parked_row(value: bytes, *, at: datetime, partition: int, offset: int) -> EventRow:
    """The row of an event that waits in the database: `value` is its record, `at` when it was found to have to wait."""
    row = _row(_kept_of(value), "unresolved", at, partition, offset)
    row.waiting = True
    return row


def _row(kept: Kept, status: EventStatus, at: datetime, partition: int, offset: int) -> EventRow:
    told = {name: getattr(kept, name) for name in Kept.__struct_fields__}
    # What was not written by ingest may be no JSON, and would make the whole answer none.
    told["body"] = _shown(bytes(kept.body))
    return EventRow(**told, status=status, at=at, partition=partition, offset=offset)


def _kept_of(value: bytes) -> Kept:
    try:
        return _decode_kept(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Kept(body=msgspec.Raw(value), reason="record_unreadable")


def _enveloped(record: Any) -> Kept:
    kept = _kept_of(record.value)
    headers = _headers(record)
    kept.reason = kept.reason or headers.get("reason")
    kept.message = kept.message or headers.get("message")
    return kept


def _dead_letter(record: Any) -> Kept:
    headers = _headers(record)
    said = _said(record.value)
    return Kept(
        message_id=_text(said, _MESSAGE_ID),
        type="command" if "command" in said else _text(said, _TYPE),
        account_id=_text(said, _ACCOUNT_ID) or _text(_object(said, "context"), _ACCOUNT_ID),
        user_id=_text(said, _USER_ID),
        event=_text(said, _EVENT),
        source=headers.get("source"),
        route=headers.get("route"),
        received_at=_moment(headers.get("received_at")),
        reason=headers.get("reason"),
        message=headers.get("message"),
        body=msgspec.Raw(record.value),
    )


def _headers(record: Any) -> dict[str, str]:
    return {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}


def _said(value: bytes) -> dict[str, Any]:
    try:
        said = strict_json.decode(value)
    except InvalidJson:
        return {}
    return said if isinstance(said, dict) else {}


def _shown(value: bytes) -> msgspec.Raw:
    """The JSON value as it is, anything else as a JSON text in which strange bytes are replaced."""
    try:
        strict_json.decode(value)
        return msgspec.Raw(value)
    except InvalidJson:
        return msgspec.Raw(msgspec.json.encode(value.decode("utf-8", "replace")))


def _object(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    inner = said.get(name)
    return inner if isinstance(inner, dict) else {}


def _text(said: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    values = (said.get(name) for name in names)
    return next((str(value) for value in values if isinstance(value, str | int) and value != ""), None)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
