"""From a record of the product-events topic to what the fold takes: an event, a tick, or poison with its reason."""

from __future__ import annotations

import enum
from typing import Any, Protocol, TypeAlias

import msgspec

from schemas.product_event import VERSION, decode_product_event, decode_tick
from schemas.timestamps import to_milliseconds
from services.activation_engine.domain.event import COMMANDS, Event

# An id is a key of indexes, which have a limit.
ID_BYTES_MAX = 255
# The end of 2199. Sums with due times beyond it could leave the calendar; ingest takes no time to come at all.
INSTANT_MS_MAX = 7_258_118_399_999
_BACKSLASH = ord("\\")
_ESCAPED_NUL = b"\\u0000"


class Reason(enum.StrEnum):
    """Why a record can never be applied; the label of metrics and the column of dead letters."""

    NO_VALUE = "no_value"
    NOT_VALID = "not_valid"
    UNKNOWN_VERSION = "unknown_version"
    UNKNOWN_COMMAND = "unknown_command"
    KEY_MISMATCH = "key_mismatch"
    ID_INVALID = "id_invalid"
    NUL_TEXT = "nul_text"
    BODY_INVALID = "body_invalid"
    WRONG_PARTITION = "wrong_partition"
    ROWS_REFUSED = "rows_refused"
    FOLD_FAILED = "fold_failed"


class Record(Protocol):
    """What the consumer hands over; `timestamp` is the append time in milliseconds."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class TickInput(msgspec.Struct, frozen=True, gc=False):
    """A tick; times in milliseconds."""

    sent_at_ms: int
    last_event_at_ms: int | None


class Poison(msgspec.Struct, frozen=True, gc=False):
    """A record that no retry can save; `detail` is one sentence for the operator."""

    reason: Reason
    detail: str


Input: TypeAlias = Event | TickInput | Poison


class _Versioned(msgspec.Struct):
    v: int


_decode_version = msgspec.json.Decoder(_Versioned).decode


def decode_record(record: Record) -> Input:
    """Decode one record; never raises for what a producer may have written."""
    value = record.value
    if value is None:
        return Poison(Reason.NO_VALUE, "the record has no value")
    try:
        return _decode_tick(value) if record.key is None else _decode_event(record, record.key, value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        return _poison_of(value, error)


def _decode_tick(value: bytes) -> Input:
    tick = decode_tick(value)
    if tick.v != VERSION:
        return _unknown_version(tick.v)
    newest = tick.last_event_at
    return TickInput(to_milliseconds(tick.sent_at), None if newest is None else to_milliseconds(newest))


def _decode_event(record: Record, key: bytes, value: bytes) -> Input:
    decoded = decode_product_event(value)
    if decoded.v != VERSION:
        return _unknown_version(decoded.v)
    account_id, message_id, name, user_id = decoded.account_id, decoded.message_id, decoded.event, decoded.user_id
    if account_id.encode() != key:
        return Poison(Reason.KEY_MISMATCH, "the key is not the account id, so another partition may own the account")
    if not 0 < len(key) <= ID_BYTES_MAX or _any_too_long(message_id, name or "", user_id or ""):
        return Poison(Reason.ID_INVALID, f"an id or event name is empty or exceeds {ID_BYTES_MAX} bytes")
    # Most records have no backslash at all, and a byte, unlike bytes, is found at once.
    if _BACKSLASH in value and _ESCAPED_NUL in value and _has_nul(msgspec.json.decode(value)):
        return Poison(Reason.NUL_TEXT, "a text contains U+0000, which the database cannot store")
    if decoded.type == "command" and name not in COMMANDS:
        return Poison(Reason.UNKNOWN_COMMAND, f"this release knows the commands {', '.join(sorted(COMMANDS))}")
    occurred_at_ms, received_at_ms = to_milliseconds(decoded.occurred_at), to_milliseconds(decoded.received_at)
    if occurred_at_ms > INSTANT_MS_MAX or received_at_ms > INSTANT_MS_MAX:
        return Poison(Reason.NOT_VALID, "occurred_at and received_at must lie before the year 2200")
    return Event(
        account_id,
        message_id,
        decoded.type,
        name,
        user_id,
        occurred_at_ms,
        received_at_ms,
        record.timestamp,
        decoded.staff,
        decoded.role,
        decoded.body,
        decoded.traceparent,
    )


def _any_too_long(one: str, two: str, three: str) -> bool:
    # Characters first: at most four bytes each, so that short ids, which all are, cost no encoding.
    if len(one) + len(two) + len(three) <= ID_BYTES_MAX // 4:
        return False
    return any(len(text.encode()) > ID_BYTES_MAX for text in (one, two, three))


def _has_nul(decoded: Any) -> bool:
    if isinstance(decoded, str):
        return "\0" in decoded
    if isinstance(decoded, dict):
        return any(_has_nul(key) or _has_nul(value) for key, value in decoded.items())
    return isinstance(decoded, list) and any(map(_has_nul, decoded))


def _poison_of(value: bytes, error: Exception) -> Poison:
    try:
        version = _decode_version(value).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        version = VERSION
    return _unknown_version(version) if version != VERSION else Poison(Reason.NOT_VALID, str(error)[:500])


def _unknown_version(version: int) -> Poison:
    return Poison(
        Reason.UNKNOWN_VERSION, f"version {version} of this record is not known; this release reads {VERSION}"
    )
