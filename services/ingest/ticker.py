"""Ticks: the engine's clock, sent to every partition by every replica while it accepts events."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.product_event import VERSION, Tick, encode
from services.ingest.delivery import Delivery, Record
from services.ingest.inflight import Overloaded
from services.ingest.publisher import Publisher
from services.runtime.process import Stopping


class Ticker:
    """Sends ticks through the same writers as the events, so that a tick never overtakes an event."""

    def __init__(self, *, publisher: Publisher, topic: str, partitions: int, tick_seconds: float) -> None:
        self._publisher = publisher
        self._topic = topic
        self._tick_seconds = tick_seconds
        self._outstanding: list[Delivery | None] = [None] * partitions
        self._last_event_at: datetime | None = None

    def saw_event(self, received_at: datetime) -> None:
        """A product event that arrived at `received_at` is in Kafka."""
        if self._last_event_at is None or received_at > self._last_event_at:
            self._last_event_at = received_at

    async def run(self, stopping: Stopping) -> None:
        """Worker: tick until stopped."""
        while True:
            if self._publisher.available:
                self._tick()
            if await stopping.sleep(self._tick_seconds):
                return

    def _tick(self) -> None:
        value = encode(Tick(v=VERSION, sent_at=datetime.now(UTC), last_event_at=self._last_event_at))
        for partition, before in enumerate(self._outstanding):
            # A partition that is slow to confirm gets no second tick: the first says all, when it comes.
            if before is not None and not before.done:
                continue
            try:
                self._outstanding[partition] = self._publisher.put({self._topic: [Record(partition, None, value)]})
            except Overloaded:
                return
