"""How plan files write lengths of time and shares, and what each means as a number."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

DAY_MS = 86_400_000
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
DURATION_MS_MAX = 3_650 * DAY_MS

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
PERCENTAGE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")
_WEEK = re.compile(r"week (\d+(?:\.\d+)?)")


def duration_ms(text: Any) -> int:
    """Milliseconds of `30d`, `1.5h`, `800ms`. Raises ValueError that says how to write one."""
    match = DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("is not a duration; write a number and a unit (ms, s, m, h, d, w), such as 30d")
    length = round(float(match[1]) * UNITS_MS[match[2]])
    if length > DURATION_MS_MAX:
        raise ValueError("is longer than 3650d")
    return length


def due_weeks(text: str) -> float | None:
    """The number of `week N`, or None when the text is not of that form."""
    match = _WEEK.fullmatch(text)
    return float(match[1]) if match else None


def share(text: str) -> Fraction:
    """The share that a percentage means: `40%` is 2/5. Raises ValueError that says how to write one."""
    match = PERCENTAGE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or not 0 < Fraction(match[1]) <= 100:
        raise ValueError("is not a percentage above 0% and up to 100%; write one such as 40%")
    return Fraction(match[1]) / 100
