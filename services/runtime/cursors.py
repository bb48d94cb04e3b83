"""Opaque cursors of lists: `{"data": […], "next": "<cursor>" | null}`, asked for with `?cursor=&limit=`."""

from __future__ import annotations

import base64
import json
from typing import Any

from services.runtime.problems import Problem

LIMIT_DEFAULT = 50
LIMIT_MAX = 500


def encode_cursor(position: list[Any]) -> str:
    """URL-safe text of a JSON-able position, such as the sort key of the last row."""
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type) -> list[Any]:
    """The position in `cursor`, whose parts must be of `kinds`; Problem 400 `cursor_invalid` otherwise."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError:
        position = None
    valid = isinstance(position, list) and len(position) == len(kinds)
    if not valid or not all(isinstance(part, kind) for part, kind in zip(position, kinds, strict=True)):
        raise Problem(400, "cursor_invalid", "Use the `next` of an earlier answer as cursor, or leave it out.")
    return list(position)
