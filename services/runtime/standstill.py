"""Tells a consumer that hangs: records wait on a partition and none of them arrives, or a rebalance never ends.

Consumers have been seen to hang for good after a broker's restart, with heartbeats going on and nothing arriving.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

STANDSTILL_SECONDS: Final = 30.0
# One waits 30 s for a member that is slow, and the next one may begin at once.
REBALANCE_SECONDS: Final = 120.0
_LOOK_SECONDS = 5.0


class Standstill:
    """Watches one consumer of a group; the broker is asked every few seconds at most."""

    def __init__(self) -> None:
        # Where a partition stands, and at how many looks records have waited there. Time alone says nothing: between
        # two looks there is at least a poll, while a long batch of another partition is one look.
        self._standing: dict[Any, tuple[int, int]] = {}
        # How many looks, one after the other, have found a rebalance.
        self._rebalances = 0
        self._looked_at = time.monotonic()

    def forget(self) -> None:
        """Begin anew: the consumer is a new one, or had reasons to stand."""
        self._standing.clear()
        self._rebalances = 0

    async def found(self, consumer: Any, next_offsets: Mapping[Any, int]) -> bool:
        """Whether records have waited for 30 s or longer on one of these partitions that stands, or a rebalance has
        taken two minutes, in which nothing is read. Raises KafkaError."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = now
        if consumer._subscription.reassignment_in_progress:
            self._standing.clear()
            self._rebalances += 1
            return (self._rebalances - 1) * _LOOK_SECONDS >= REBALANCE_SECONDS
        self._rebalances = 0
        ends = await consumer.end_offsets(list(next_offsets)) if next_offsets else {}
        standing = {}
        for place, next_offset in next_offsets.items():
            if next_offset < ends[place]:
                stood_at, looks = self._standing.get(place, (next_offset, 0))
                standing[place] = (next_offset, looks + 1 if stood_at == next_offset else 1)
        self._standing = standing
        return any((looks - 1) * _LOOK_SECONDS >= STANDSTILL_SECONDS for _, looks in standing.values())
