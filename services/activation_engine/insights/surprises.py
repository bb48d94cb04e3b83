"""Frequent events that no live plan mentions: what to look at when a plan is next edited."""

from __future__ import annotations

from typing import Any

from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.reading.event_names import EventName


def surprises_insight(names: list[EventName], *, limit: int) -> dict[str, Any]:
    """The `limit` most frequent of the names that no live plan mentions."""
    unused = sorted((one for one in names if not one.mentioned), key=lambda one: (-one.count, one.name))
    newest_ms = max((one.last_seen_ms for one in names), default=None)
    return {
        "as_of": None if newest_ms is None else rfc3339(newest_ms),
        "text": _text(unused),
        "names": len(unused),
        "events": [_event(one) for one in unused[:limit]],
    }


def _event(seen: EventName) -> dict[str, Any]:
    return {
        "event": seen.name,
        "count": seen.count,
        "first_seen_at": rfc3339(seen.first_seen_ms),
        "last_seen_at": rfc3339(seen.last_seen_ms),
    }


def _text(unused: list[EventName]) -> str:
    if not unused:
        return "Every event that arrives is mentioned by a live plan."
    verb = "event name is" if len(unused) == 1 else "event names are"
    times = "once" if unused[0].count == 1 else f"{unused[0].count:,} times"
    return f"{len(unused):,} {verb} mentioned by no live plan; the most frequent is {unused[0].name} ({times})."
