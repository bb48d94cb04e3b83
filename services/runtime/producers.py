"""Kafka producers: one that works, its replacement as soon as any batch of it fails, and its end.

An idempotent producer numbers its batches. When one is given up, the broker has never seen its numbers, and refuses
all later ones for ever; only a new producer id helps. The library's own end waits without limit for a broker that is
gone, and has no second try: what it leaves would hold its connections, and try to send, for as long as the process
lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka.errors import KafkaError, ProducerClosed

from services.runtime.bounded import ended

log = structlog.get_logger(__name__)

_START_SECONDS = 4.0
_RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0)
# What it has under way on other partitions may be confirmed yet.
_GRACE_SECONDS = 1.0
# A connection that is being made has the request's five seconds, and as many for its first request.
_SENDER_SECONDS = 10.0
_CLOSE_SECONDS = 2.0


class ProducerKeeper:
    """Worker that keeps one started producer, which knows `topics`; `current` is None while there is none that works.

    `make` makes producers that are not started.
    """

    def __init__(self, *, make: Callable[[], Any], topics: tuple[str, ...]) -> None:
        self._make = make
        self._topics = topics
        self._failed = asyncio.Event()
        self._started = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()
        self.current: Any | None = None

    async def run(self) -> None:
        """Start producers until cancelled."""
        while True:
            self.current = await self._start()
            log.info("producer_ready")
            self._started.set()
            self._failed.clear()
            await self._failed.wait()

    async def working(self) -> Any:
        """The current producer, however long there is none."""
        while self.current is None:
            self._started.clear()
            await self._started.wait()
        return self.current

    def give_up(self, producer: Any, reason: str) -> bool:
        """Replace `producer`, of which a batch failed; False if that is under way already. It is not waited for."""
        if producer is not self.current:
            return False
        log.warning("producer_replaced", reason=reason)
        self.current = None
        task = asyncio.create_task(stop_producer(producer, within_seconds=_GRACE_SECONDS))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._failed.set()
        return True

    async def stop(self, *, within_seconds: float) -> None:
        """Stop the current producer, which delivers what it has in that time, and wait for those given up."""
        producer, self.current = self.current, None
        if producer is not None:
            await stop_producer(producer, within_seconds=within_seconds)
        if self._ending:
            await asyncio.wait(self._ending, timeout=_SENDER_SECONDS)

    async def _start(self) -> Any:
        attempt = 0
        while True:
            try:
                return await self._begin()
            except (TimeoutError, KafkaError, OSError) as error:
                if attempt == 0:
                    log.warning("broker_unavailable", error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            attempt += 1

    async def _begin(self) -> Any:
        producer = self._make()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await producer.start()
                for topic in self._topics:
                    await producer.partitions_for(topic)
        except BaseException:
            # Cancelled as well: what was begun holds connections and tasks that nothing else ends.
            await stop_producer(producer, within_seconds=_GRACE_SECONDS)
            raise
        return producer


async def stop_producer(producer: Any, *, within_seconds: float) -> None:
    """Deliver what it has and end it; what it cannot deliver in time fails with ProducerClosed, a KafkaError."""
    if not await ended(producer.stop(), seconds=within_seconds):
        await _abandon(producer)


async def _abandon(producer: Any) -> None:
    """Take a producer apart that may never get an answer again, in the order that leaves nothing running.

    Its requests first, for which the sending task waits; then that task, else it would touch batches that were failed;
    then its batches, for which a stop that was begun may wait; last a connection that was just being made.
    """
    client, sender = producer.client, producer._sender.sender_task
    if sender is not None:
        sender.cancel()
    # What it connects to from now on fails at once.
    client._request_timeout_ms = 0
    for connection in client._conns.values():
        if connection.connected():
            # A close would wait until a broker that hangs has taken what was written.
            connection._writer.transport.abort()
    await ended(client.close(), seconds=_CLOSE_SECONDS)
    # Nobody asks for metadata any more, and what failed waits for it before its next try.
    client.force_metadata_update()
    client._md_update_fut.set_result(False)
    if sender is not None:
        await asyncio.wait({sender}, timeout=_SENDER_SECONDS)
    accumulator = producer._message_accumulator
    # What waits for another try has to be among these when it ends, else its own callback fails.
    accumulator._pending_batches = accumulator._pending_batches.union(*accumulator._batches.values())
    accumulator.fail_all(ProducerClosed())
    producer._closed = True
    await ended(client.close(), seconds=_CLOSE_SECONDS)
