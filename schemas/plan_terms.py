"""The terms of a plan file that are more than a string, as pydantic types: durations, due times, ids, lists of one."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from schemas.plan_measures import DAY_MS, DURATION, DURATION_MS_MAX, PERCENTAGE, due_weeks, duration_ms, share


def _duration(text: Any) -> str:
    duration_ms(text)
    return str(text).strip()


def _positive_duration(text: Any) -> str:
    if duration_ms(text) < 1:
        raise ValueError("must be longer than zero")
    return str(text).strip()


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


def _percentage(text: Any) -> str:
    share(text)
    return str(text).strip()


def one_or_more(value: Any) -> Any:
    """A single text stands for a list of one."""
    return [value] if isinstance(value, str) else value


Duration = Annotated[str, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": DURATION.pattern})]
PositiveDuration = Annotated[
    str, BeforeValidator(_positive_duration), WithJsonSchema({"type": "string", "pattern": DURATION.pattern})
]
DueTime = Annotated[str, BeforeValidator(_due), WithJsonSchema({"type": "string", "examples": ["week 4", "30d"]})]
Percentage = Annotated[
    str, BeforeValidator(_percentage), WithJsonSchema({"type": "string", "pattern": PERCENTAGE.pattern})
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
