"""Tells a consumer that hangs: records wait on a partition, and none of them arrives.

Consumers have been seen to hang for good after a broker's restart, with heartbeats going on and nothing arriving.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

STANDSTILL_SECONDS: Final = 30.0
_LOOK_SECONDS = 5.0


class Standstill:
    """Watches one consumer of a group; the broker is asked every few seconds at most."""

    def __init__(self) -> None:
        # Where a partition stands, and since when records wait there.
        self._standing: dict[Any, tuple[int, float]] = {}
        self._looked_at = time.monotonic()

    def forget(self) -> None:
        """Begin anew: the consumer is a new one, or had reasons to stand."""
        self._standing.clear()

    async def found(self, consumer: Any, next_offsets: Mapping[Any, int]) -> bool:
        """Whether records have waited for 30 s on one of these partitions that stands. Raises KafkaError."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = now
        ends = await consumer.end_offsets(list(next_offsets)) if next_offsets else {}
        standing = {}
        for place, next_offset in next_offsets.items():
            if next_offset < ends[place]:
                known = self._standing.get(place)
                standing[place] = known if known is not None and known[0] == next_offset else (next_offset, now)
        self._standing = standing
        return any(now - since >= STANDSTILL_SECONDS for _, since in standing.values())
