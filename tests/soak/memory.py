"""The resident memory of a process over time."""

from __future__ import annotations

import asyncio
import time

import psutil

_EVERY_SECONDS = 0.25
_MIB = 1 << 20


class Memory:
    """Looks four times a second."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._seen: list[tuple[float, float]] = []

    def now_mib(self) -> float:
        """At this moment."""
        return float(self._process.memory_info().rss) / _MIB

    def peak_mib(self, since: float, until: float) -> float:
        """The most that was seen in that time (monotonic)."""
        return max((mib for at, mib in self._seen if since <= at < until), default=0.0)

    def creep_mib(self, since: float, until: float) -> float:
        """The peak of the last third of that time minus the peak of the third before: what goes on growing."""
        third = (until - since) / 3
        return self.peak_mib(until - third, until) - self.peak_mib(until - 2 * third, until - third)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._seen.append((time.monotonic(), self.now_mib()))
            await asyncio.sleep(_EVERY_SECONDS)
