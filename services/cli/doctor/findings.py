"""What a check found: all is well, something to know, or a problem with what to do about it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "note", "problem"]


class Finding(NamedTuple):
    """One sentence on what is, and one on what to do."""

    check: str
    level: Level
    message: str
    do: str = ""


def fine(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", message)


def note(check: str, message: str, do: str = "") -> Finding:
    """Perhaps as meant, perhaps not."""
    return Finding(check, "note", message, do)


def problem(check: str, message: str, do: str) -> Finding:
    """Something that keeps signals from being right or from arriving."""
    return Finding(check, "problem", message, do)
