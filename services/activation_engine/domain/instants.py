"""Instants and stretches of time as text and back: RFC 3339 on the wire, whole milliseconds inside."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# The last that the calendar has. Plans of earlier releases, whose days may be years, give dates beyond it.
_LAST_MS = 253_402_300_799_000
# Traits outside these years are typing errors; the margin keeps later sums inside what datetime can show.
_YEARS = range(1970, 2200)
# No client writes more digits; texts as long as events must not fill the memory.
_REMEMBERED_CHARACTERS_MAX = 64
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse_instant(value: Any) -> int | None:
    """Milliseconds of an ISO 8601 date or date-time (naive means UTC), or None when it is not one."""
    if not isinstance(value, str):
        return None
    return _remembered(value) if len(value) <= _REMEMBERED_CHARACTERS_MAX else _parse(value)


def _parse(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.year not in _YEARS:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


_remembered = lru_cache(maxsize=4096)(_parse)


def _moment(instant_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(instant_ms, _LAST_MS))


def rfc3339(instant_ms: int) -> str:
    """`2026-11-20T10:00:00Z`, with milliseconds only when there are some; in the year 9999 what lies beyond it."""
    moment = _moment(instant_ms)
    precision = "milliseconds" if instant_ms % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def rfc3339_or_none(instant_ms: int | None) -> str | None:
    """As `rfc3339`; None stays None."""
    return None if instant_ms is None else rfc3339(instant_ms)


def date_text(instant_ms: int, *, start_ms: int | None, day_ms: int) -> str:
    """`13 Nov 2026` when a plan day is a calendar day, otherwise `day 28` counted from the start."""
    if day_ms != DAY_MS and start_ms is not None:
        return f"day {max(0, instant_ms - start_ms) // day_ms}"
    moment = _moment(instant_ms)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def days_text(length_ms: int, day_ms: int) -> str:
    """`7 days`, `1 day` or `less than a day`, in whole plan days."""
    days = max(0, length_ms) // day_ms
    if days == 0:
        return "less than a day"
    return "1 day" if days == 1 else f"{days} days"


def length_text(length_ms: int, day_ms: int) -> str:
    """A limit as the plan gives it: `14 days`, `0.5 days`."""
    return "1 day" if length_ms == day_ms else f"{length_ms / day_ms:g} days"


def in_days(length_ms: int, day_ms: int) -> float:
    """A length in plan days, rounded to hundredths for people and programs."""
    return round(length_ms / day_ms, 2)
