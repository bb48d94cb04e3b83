"""How many endpoints there may be, and so of how many a process remembers anything."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

ENDPOINTS_MAX = 10_000


def remember(known: dict[str, T], key: str, value: T) -> None:
    """Keep `value` as the newest of `known`; past ENDPOINTS_MAX the oldest goes, which is of an endpoint that is gone
    or has had nothing to do for longest."""
    known.pop(key, None)
    known[key] = value
    if len(known) > ENDPOINTS_MAX:
        del known[next(iter(known))]
