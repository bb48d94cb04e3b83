"""A signal as one line that a person reads at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_REACHED = ("account.milestone_reached", "account.first_value_reached")


def line_of(signal: dict[str, Any], *, superseded: Sequence[dict[str, str]] = ()) -> str:
    """When, what, of whom, under which plan, and the sentence; marked when it is no news, or tells of a milestone that
    is `superseded`."""
    plan = signal["plan"]["id"] if signal["plan"] else ""
    origin = "" if signal["origin"] == "live" else f"[{signal['origin']}]"
    told = {"plan": plan, "milestone": (signal.get("milestone") or {}).get("id")}
    past = "[superseded]" if told in superseded and signal["type"] in _REACHED else ""
    parts = (signal["timestamp"], signal["type"], signal["account"]["id"], plan, signal["summary"], origin, past)
    return "  ".join(part for part in parts if part)
