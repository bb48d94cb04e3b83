"""A signal as one line that a person reads at a glance."""

from __future__ import annotations

from typing import Any


def line_of(signal: dict[str, Any]) -> str:
    """When, what, of whom, under which plan, and the sentence; marked when it is no news."""
    plan = signal["plan"]["id"] if signal["plan"] else ""
    origin = "" if signal["origin"] == "live" else f"[{signal['origin']}]"
    parts = (signal["timestamp"], signal["type"], signal["account"]["id"], plan, signal["summary"], origin)
    return "  ".join(part for part in parts if part)
