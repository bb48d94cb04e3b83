"""The demo's calendar: which day of the story it is, and when a day is."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.demo.scenario import DAY_SECONDS


@dataclass(frozen=True)
class Calendar:
    """Days of the story since `start_seconds` (Unix time)."""

    start_seconds: float
    day_seconds: float = DAY_SECONDS

    @classmethod
    def starting_now(cls) -> Calendar:
        """Day 0 is now."""
        return cls(time.time())

    def moment(self, day: float) -> datetime:
        """The instant of a day, in UTC."""
        return datetime.fromtimestamp(self.start_seconds + day * self.day_seconds, UTC)

    def day_of(self, unix_seconds: float) -> float:
        """The day, with its fraction, of an instant."""
        return (unix_seconds - self.start_seconds) / self.day_seconds

    def now(self) -> float:
        """The day, with its fraction, that it is."""
        return self.day_of(time.time())

    async def until(self, day: float) -> None:
        """Returns when the day has come."""
        await asyncio.sleep(max(0.0, self.start_seconds + day * self.day_seconds - time.time()))
