"""Reads one record of the signals topic: a message to deliver, or the reason why it never can be."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.commands import ID_CHARACTERS_MAX
from schemas.signals import LEDGER_HEADER, RECEIVED_HEADER, SEQUENCE_HEADER, TRACE_HEADER, Signal, decode
from services.notifier.domain.filters import About
from services.notifier.store.intake import Message, Poison

BODY_BYTES_MAX = 262_144
# What may stand in a `webhook-id` header.
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
# The end of the year 9999; PostgreSQL's own end is later.
_RECEIVED_MS_MAX = 253_402_300_799_999
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def read_record(record: Any) -> Message | Poison | None:
    """The message in a Kafka record; its value stays as it is, because it is what will be signed and sent. None for an
    empty value: the signal was erased with its account, and only its number was left to publish."""
    value = record.value
    if not value:
        return None
    if len(value) > BODY_BYTES_MAX:
        return _poison(record, "body_too_large")
    try:
        signal = decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _poison(record, "undecodable")
    if not _ID.fullmatch(signal.id) or not _TYPE.fullmatch(signal.type) or len(signal.type) > ID_CHARACTERS_MAX:
        return _poison(record, "id_invalid")
    # What is longer fits no index, and would stop its partition.
    if "\0" in signal.account.id or len(signal.account.id) > ID_CHARACTERS_MAX:
        return _poison(record, "text_invalid")
    return _message(record, signal)


def _message(record: Any, signal: Signal) -> Message:
    trace = (_header(record, TRACE_HEADER) or b"").decode("ascii", "replace")
    return Message(
        id=signal.id,
        type=signal.type,
        account_id=signal.account.id,
        origin=signal.origin,
        traceparent=trace if _TRACEPARENT.fullmatch(trace) else None,
        body=record.value,
        seq=sequence_of(record),
        received_ms=_received_ms(record),
        occurred_at=_occurred_at(signal.timestamp),
        about=About(
            plan=signal.plan.id if signal.plan else None,
            segment=signal.account.segment,
            owner=signal.account.owner,
            reason=signal.reason,
        ),
    )


def sequence_of(record: Any) -> int | None:
    """The ledger's number in the record's header; None without one."""
    return _number(record, SEQUENCE_HEADER)


def ledger_of(record: Any) -> int | None:
    """When the ledger began that the number is of, milliseconds since 1970; None in records of older engines."""
    return _number(record, LEDGER_HEADER)


def _received_ms(record: Any) -> int | None:
    number = _number(record, RECEIVED_HEADER)
    return number if number is not None and number <= _RECEIVED_MS_MAX else None


def _occurred_at(moment: datetime) -> datetime | None:
    """None for one without a zone, and for one that no calendar has in UTC: only latencies are told by it."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else None
    except OverflowError:
        return None


def _number(record: Any, header: str) -> int | None:
    text = _header(record, header) or b""
    return int(text) if text.isdigit() and len(text) <= 18 else None


def _header(record: Any, name: str) -> bytes | None:
    return next((value for key, value in record.headers if key == name), None)


def _poison(record: Any, reason: str) -> Poison:
    return Poison(record.partition, record.offset, reason, record.value)
