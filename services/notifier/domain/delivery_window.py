"""When an endpoint wants to be called: hours of a day and days of a week, on its own clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Deliveries are given up at 96 h; a day of attempts is left to one that waited the longest.
CLOSED_HOURS_MAX = 72
_DAY_MINUTES = 1440
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class WindowRefused(ValueError):
    """The window cannot be kept; the message says what to write."""


@dataclass(frozen=True, slots=True)
class DeliveryWindow:
    """Open from `start_minute` of each of `days` (0 is Monday) until `end_minute`, of the day after unless later."""

    days: tuple[int, ...]
    start_minute: int
    end_minute: int

    def closed_minutes_longest(self) -> int:
        """The longest stretch of a week in which nothing is delivered, without changes of the clock."""
        length = (self.end_minute - self.start_minute - 1) % _DAY_MINUTES + 1
        starts = sorted(day * _DAY_MINUTES + self.start_minute for day in self.days)
        following = [*starts[1:], starts[0] + 7 * _DAY_MINUTES]
        return max(max(after - start - length, 0) for start, after in zip(starts, following, strict=True))


def read_window(*, days: Sequence[str], start: str, end: str) -> DeliveryWindow:
    """The window of `HH:MM` texts and names of days; WindowRefused when it is none or stays closed for too long."""
    unknown = [day for day in days if day not in DAYS]
    if unknown or not days:
        raise WindowRefused(f"Write days as a list of some of {', '.join(DAYS)}.")
    window = DeliveryWindow(tuple(sorted({DAYS.index(day) for day in days})), _minute(start), _minute(end))
    if window.closed_minutes_longest() > CLOSED_HOURS_MAX * 60:
        raise WindowRefused(
            f"Let the window open at least every {CLOSED_HOURS_MAX} hours; deliveries are given up after four days."
        )
    return window


def _minute(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise WindowRefused("Write times as HH:MM, from 00:00 to 23:59.")
    return int(found[1]) * 60 + int(found[2])
