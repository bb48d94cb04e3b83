"""The current Kafka producer, and its replacement as soon as any batch of it fails.

An idempotent producer numbers its batches. When one is given up, the broker has never seen its numbers, and refuses
all later ones for ever; only a new producer id helps. The library's own stop waits without limit for a broker that is
gone, so an old producer is taken apart with bounds of our own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka.errors import KafkaError, ProducerClosed

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
        task = asyncio.create_task(_abandon(producer))
        self._abandoning.add(task)
        task.add_done_callback(self._abandoning.discard)
        self._failed.set()
        return True

    async def stop(self) -> None:
        """Stop the current producer and wait for those given up, each bounded in time."""
        producer, self.current = self.current, None
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
            except (TimeoutError, KafkaError, OSError):
                await _abandon(producer)
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
            except (TimeoutError, KafkaError, OSError) as error:
                if attempt == 0:
                    log.warning("broker_unavailable", error=type(error).__name__)
                await _abandon(producer)
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            attempt += 1


async def _abandon(producer: Any) -> None:
    """Take a producer apart that may never get an answer again, in the order that leaves nothing running.

    The sending task first, else it would touch batches that were failed; then its batches, else `stop` would wait for
    them; the connections last.
    """
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        await asyncio.wait({sender}, timeout=2 * _STOP_SECONDS)
    accumulator = producer._message_accumulator
    # What waits for another try has to be among these when it ends, else its own callback fails.
    batches = accumulator._pending_batches.union(*accumulator._batches.values())
    accumulator._pending_batches = batches
    accumulator.fail_all(ProducerClosed())
    for batch in tuple(batches):
        # Retrieved, because nobody else may be left who does, and asyncio would log each.
        batch.future.exception()
        batch._drain_waiter.exception()
    with contextlib.suppress(TimeoutError, KafkaError, OSError, asyncio.CancelledError):
        await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
