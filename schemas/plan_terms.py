"""The terms of a plan file that are more than a string: durations, due times, ids, and lists that may be one item."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

DAY_MS = 86_400_000
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
DURATION_MS_MAX = 3_650 * DAY_MS

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_PERCENTAGE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")
_WEEK = re.compile(r"week (\d+(?:\.\d+)?)")


def duration_ms(text: Any) -> int:
    """Milliseconds of `30d`, `1.5h`, `800ms`. Raises ValueError that says how to write one."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("is not a duration; write a number and a unit (ms, s, m, h, d, w), such as 30d")
    length = round(float(match[1]) * UNITS_MS[match[2]])
    if length > DURATION_MS_MAX:
        raise ValueError("is longer than 3650d")
    return length


def _duration(text: Any) -> str:
    duration_ms(text)
    return str(text).strip()


def _positive_duration(text: Any) -> str:
    if duration_ms(text) < 1:
        raise ValueError("must be longer than zero")
    return str(text).strip()


def due_weeks(text: str) -> float | None:
    """The number of `week N`, or None when the text is not of that form."""
    match = _WEEK.fullmatch(text)
    return float(match[1]) if match else None


def _due(text: Any) -> str:
    text = text.strip() if isinstance(text, str) else text
    weeks = due_weeks(text) if isinstance(text, str) else None
    if weeks is not None:
        if not 0 < weeks * 7 * DAY_MS <= DURATION_MS_MAX:
            raise ValueError("must be between week 1 and week 520")
        return str(text)
    try:
        return _duration(text)
    except ValueError as error:
        if "is not a duration" in str(error):
            raise ValueError(
                "is not a due time; write `week 4` (stretched by pace) or a duration such as 30d"
            ) from None
        raise


def _pace(value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= 100
        or not math.isfinite(value)
    ):
        raise ValueError("must be a number above 0 and at most 100; 2 gives twice the time")
    return float(value)


def share(text: str) -> Fraction:
    """The share that a percentage means: `40%` is 2/5. Raises ValueError that says how to write one."""
    match = _PERCENTAGE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or not 0 < Fraction(match[1]) <= 100:
        raise ValueError("is not a percentage above 0% and up to 100%; write one such as 40%")
    return Fraction(match[1]) / 100


def _percentage(text: Any) -> str:
    share(text)
    return str(text).strip()


def one_or_more(value: Any) -> Any:
    """A single text stands for a list of one."""
    return [value] if isinstance(value, str) else value


Duration = Annotated[str, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": _DURATION.pattern})]
PositiveDuration = Annotated[
    str, BeforeValidator(_positive_duration), WithJsonSchema({"type": "string", "pattern": _DURATION.pattern})
]
DueTime = Annotated[str, BeforeValidator(_due), WithJsonSchema({"type": "string", "examples": ["week 4", "30d"]})]
Percentage = Annotated[
    str, BeforeValidator(_percentage), WithJsonSchema({"type": "string", "pattern": _PERCENTAGE.pattern})
]
Pace = Annotated[float, BeforeValidator(_pace)]
PlanId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
MilestoneId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Role = Annotated[str, StringConstraints(min_length=1, max_length=64)]
TraitName = Annotated[str, StringConstraints(pattern=r"^[^\s.][^\s]{0,63}$")]
# As a list, or a single text for a list of one.
OneOrMore = BeforeValidator(one_or_more, json_schema_input_type=str | list[str])
EventNames = Annotated[list[Text], Field(min_length=1, max_length=64), OneOrMore]
Value = str | int | float | bool | None
