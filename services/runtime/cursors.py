"""Opaque cursors of lists: `{"data": […], "next": "<cursor>" | null}`, asked for with `?cursor=&limit=`."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from services.runtime.problems import Problem

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
CURSOR_INVALID: Final = (400, "cursor_invalid", "Use the `next` of an earlier answer as cursor, or leave it out.")
_INTEGER_MAX = 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode_cursor(position: list[Any]) -> str:
    """URL-safe text of a JSON-able position, such as the sort key of the last row."""
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type) -> list[Any]:
    """The position in `cursor`, whose parts must be of `kinds`; Problem 400 `cursor_invalid` otherwise."""
    position = unchecked_position(cursor)
    if len(position) != len(kinds) or not all(map(_is_a, kinds, position)):
        raise Problem(*CURSOR_INVALID)
    return position


def decode_by_age(cursor: str) -> tuple[datetime, str]:
    """When the last row was created, in UTC, and its id: the position of a list by age; Problem 400 `cursor_invalid`
    otherwise."""
    created_at, id_ = decode_cursor(cursor, str, str)
    try:
        return datetime.fromisoformat(created_at).astimezone(UTC), id_
    except (ValueError, OverflowError):
        raise Problem(*CURSOR_INVALID) from None


def unchecked_position(cursor: str) -> list[Any]:
    """What a cursor says, to tell those of one list apart; empty for what is none."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        return []
    return position if isinstance(position, list) else []


def _is_a(kind: type, part: Any) -> bool:
    # What PostgreSQL could not take as a parameter was not made by us.
    if isinstance(part, str):
        return kind is str and "\x00" not in part and not _SURROGATE.search(part)
    if isinstance(part, int):
        return kind is type(part) and -_INTEGER_MAX <= part <= _INTEGER_MAX
    return isinstance(part, kind)
