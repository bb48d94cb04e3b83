"""Cursors of the debugger: places on a topic by its partitions, and among the events that wait in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.ingest.debugger.rows import EventStatus
from services.ingest.debugger.waiting import Before
from services.runtime.cursors import CURSOR_INVALID, decode_cursor, encode_cursor, unchecked_position
from services.runtime.problems import Problem

_WAITING = "waiting"
_OFFSET_MAX = 2**63 - 1
# The ends of the calendar have moments that are not in it in another zone.
_YEARS = range(1970, 9999)


def topic_place(status: EventStatus, offsets: Mapping[int, int]) -> str:
    """The cursor of a place on the topic of `status`."""
    return encode_cursor([status, _by_text(offsets)])


def topic_offsets(place: str | None, status: EventStatus) -> dict[int, int] | None:
    """The place of a cursor; Problem 400 `cursor_invalid` for one that is none, or of another list."""
    if place is None:
        return None
    of_status, offsets = decode_cursor(place, str, dict)
    if of_status != status:
        raise Problem(*CURSOR_INVALID)
    return _by_number(offsets)


def waiting_place(before: Before) -> str:
    """The cursor of a place among the events that wait."""
    at, user_id, message_id = before.last or (None, "", "")
    last = [at.isoformat() if at else "", user_id, message_id]
    return encode_cursor([_WAITING, _by_text(before.starts), _by_text(before.end), *last])


def waiting_place_of(cursor: str | None) -> Before | None:
    """The place of a cursor; None if it is none of these; Problem 400 `cursor_invalid`."""
    if cursor is None or unchecked_position(cursor)[:1] != [_WAITING]:
        return None
    _, starts, end, at, user_id, message_id = decode_cursor(cursor, str, dict, dict, str, str, str)
    try:
        moment = datetime.fromisoformat(at) if at else None
    except ValueError as error:
        raise Problem(*CURSOR_INVALID) from error
    if moment is not None and (moment.tzinfo is None or moment.year not in _YEARS):
        raise Problem(*CURSOR_INVALID)
    last = None if moment is None else (moment, user_id, message_id)
    return Before(_by_number(starts), _by_number(end), last)


def _by_text(offsets: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): offset for partition, offset in offsets.items()}


def _by_number(offsets: Mapping[Any, Any]) -> dict[int, int]:
    sound = all(
        partition.isdecimal() and len(partition) <= 4 and type(offset) is int and 0 <= offset <= _OFFSET_MAX
        for partition, offset in offsets.items()
    )
    if not sound:
        raise Problem(*CURSOR_INVALID)
    return {int(partition): offset for partition, offset in offsets.items()}
