"""The current Kafka producer, and its replacement as soon as any batch of it fails.

An idempotent producer numbers its batches. When one is given up, the broker has never seen its numbers, and refuses
all later ones for ever; only a new producer id helps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from services.runtime.kafka import BrokerTrouble
from services.runtime.producers import abandon_producer, stop_producer

log = structlog.get_logger(__name__)

_START_SECONDS = 4.0
_RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0)
_STOP_SECONDS = 5.0


class ProducerKeeper:
    """Worker that keeps one started producer; `current` is None while there is none that works."""

    def __init__(self, *, make: Callable[[], Any], topics: tuple[str, ...]) -> None:
        self._make = make
        self._topics = topics
        self._failed = asyncio.Event()
        self._abandoning: set[asyncio.Task[None]] = set()
        self.current: Any | None = None

    async def run(self) -> None:
        """Start producers until cancelled."""
        while True:
            self.current = await self._start()
            log.info("producer_ready")
            self._failed.clear()
            await self._failed.wait()

    def give_up(self, producer: Any, reason: str) -> bool:
        """Replace `producer`, of which a batch failed; False if that is under way already."""
        if producer is not self.current:
            return False
        log.warning("producer_replaced", reason=reason)
        self.current = None
        task = asyncio.create_task(abandon_producer(producer))
        self._abandoning.add(task)
        task.add_done_callback(self._abandoning.discard)
        self._failed.set()
        return True

    async def stop(self) -> None:
        """Stop the current producer and wait for those given up, each bounded in time."""
        producer, self.current = self.current, None
        if producer is not None:
            await stop_producer(producer, within_seconds=_STOP_SECONDS)
        if self._abandoning:
            await asyncio.wait(self._abandoning, timeout=2 * _STOP_SECONDS)

    async def _start(self) -> Any:
        attempt = 0
        while True:
            producer = self._make()
            try:
                async with asyncio.timeout(_START_SECONDS):
                    await producer.start()
                    for topic in self._topics:
                        await producer.partitions_for(topic)
                return producer
            except (TimeoutError, BrokerTrouble, OSError) as error:
                if attempt == 0:
                    log.warning("broker_unavailable", error=type(error).__name__)
                await abandon_producer(producer)
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            attempt += 1
