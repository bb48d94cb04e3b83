"""Watches that waiting records are applied: a hung consumer is rebuilt, and if that does not help the process ends.

Consumers have been seen to hang for good after a broker's restart, with heartbeats going on and nothing arriving.
"""

from __future__ import annotations

import time
from uuid import UUID

import structlog

from services.activation_engine.consumer import Consumer
from services.activation_engine.leases import Leases
from services.activation_engine.log_probe import LogProbe, LogUnreachable
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)


class ConsumerHung(Exception):
    """Records wait, nothing arrives, and a new consumer did not help."""


class Watchdog:
    """Asks the broker itself, over a connection of its own, whether records wait."""

    def __init__(self, *, consumer: Consumer, leases: Leases, probe: LogProbe, stall_seconds: float) -> None:
        self._consumer = consumer
        self._leases = leases
        self._probe = probe
        self._stall_seconds = stall_seconds
        # By partition: the stamp under which it stands, and since when records wait for the next one. A tick that takes
        # many transactions leaves the offset where it was, and moves on all the same.
        self._standing: dict[int, tuple[UUID, float]] = {}
        self._rebuilt_at: float | None = None

    async def run(self, stopping: Stopping) -> None:
        """Worker: raises ConsumerHung when a rebuilt consumer stands still as well."""
        while not await stopping.sleep(self._stall_seconds / 10):
            try:
                await self.look()
            except LogUnreachable:
                self._standing.clear()

    async def look(self) -> None:
        """Look once. Raises LogUnreachable, ConsumerHung."""
        held = dict(self._leases.held)
        ends = await self._probe.end_offsets(list(held)) if held and not self._consumer.paused else {}
        now = time.monotonic()
        standing = {}
        for part, end in ends.items():
            lease = held[part].lease
            if lease.next_offset < end:
                known = self._standing.get(part)
                standing[part] = known if known is not None and known[0] == lease.stamp else (lease.stamp, now)
        self._standing = standing
        if not ends:
            return
        longest = max((now - since for _, since in standing.values()), default=0.0)
        if not standing or longest < self._stall_seconds:
            # The new consumer stands no sooner than it has joined and claimed, so it gets twice the time to show it.
            if self._rebuilt_at is not None and (not standing or now - self._rebuilt_at > 2 * self._stall_seconds):
                self._rebuilt_at = None
            return
        if self._rebuilt_at is not None:
            raise ConsumerHung(f"nothing applied for {longest:.0f} s on partitions {sorted(standing)}")
        log.error("consumer_stalled", parts=sorted(standing), seconds=round(longest))
        self._rebuilt_at = now
        self._standing = {}
        self._consumer.rebuild()
