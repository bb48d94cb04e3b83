"""The resolver's one loop: claim what the group assigned, poll, apply; after any trouble claim again and go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.delivery import BrokerUnavailable
from services.ingest.directory.resolver import Resolver
from services.ingest.directory.store import Claim, DirectoryStore, Superseded
from services.ingest.inflight import Overloaded
from services.ingest.metrics import IngestMetrics
from services.runtime.kafka import join_group, leave_group
from services.runtime.postgres import is_transient
from services.runtime.process import Stopping
from services.runtime.standstill import STANDSTILL_SECONDS, Standstill

log = structlog.get_logger(__name__)

_POLL_MS = 200
_POLL_SECONDS_MAX = 5.0
_BATCH_EVENTS_MAX = 200
_PAUSE_SECONDS = 0.5
_SWEEP_SECONDS = 60.0


class ResolverConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """`new_consumer` makes group consumers that are neither started nor subscribed; one that fails or hangs is
    replaced. `beat` is called while the loop goes on."""

    def __init__(
        self,
        *,
        new_consumer: Callable[[], Any],
        beat: Callable[[], None],
        topic: str,
        store: DirectoryStore,
        resolver: Resolver,
        metrics: IngestMetrics,
    ) -> None:
        self._new_consumer = new_consumer
        self._beat = beat
        self._topic = topic
        self._store = store
        self._resolver = resolver
        self._metrics = metrics
        self._consumer: Any = None
        self._standstill = Standstill()
        self._claims: dict[int, Claim] = {}
        # How far the log of a partition reached when it was claimed.
        self._claimed_up_to: dict[int, int] = {}
        self._swept: set[int] = set()
        self._odd: dict[int, tuple[int, int]] = {}
        self._swept_at = time.monotonic()
        self.ended = asyncio.Event()

    async def run(self, stopping: Stopping) -> None:
        """Worker: resolve until stopped; the batch under way is finished."""
        troubled = False
        try:
            while not stopping:
                try:
                    await self._turn()
                    troubled = False
                except (KafkaError, SQLAlchemyError, OSError, BrokerUnavailable, Overloaded) as error:
                    if isinstance(error, SQLAlchemyError) and not is_transient(error):
                        raise
                    if not troubled:
                        log.warning("resolver_waits", error=type(error).__name__)
                    troubled = True
                    self._claims.clear()
                    self._standstill.forget()
                    if isinstance(error, KafkaError):
                        # Whatever ended one of the client's own tasks, it starts none anew.
                        await self._close()
                    await stopping.sleep(_PAUSE_SECONDS)
        finally:
            await self._close()
            self.ended.set()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Write no more on them. A batch under way may still be written, unless somebody else has claimed since."""
        self._standstill.forget()
        for place in revoked:
            self._claims.pop(place.partition, None)
            # Whoever has it next tells of it; what was true here would stay for as long as this process.
            self._metrics.forget_partition(place.partition)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Fetch nothing of them before they are claimed. How late they are is not known yet: count from now.

        A rebalance may take longer than a poll, and until its end the client tells the assignment of before: what was
        claimed then has to be claimed again, or its partition would stay paused.
        """
        self._standstill.forget()
        for place in assigned:
            self._claims.pop(place.partition, None)
            self._metrics.decided_until(place.partition, time.time() * 1000)
        self._consumer.pause(*assigned)

    async def _turn(self) -> None:
        self._beat()
        if self._consumer is None:
            await self._connect()
        for place in sorted(self._consumer.assignment()):
            if place.partition not in self._claims:
                await self._claim(place)
        polled: dict[TopicPartition, list[Any]] = {}
        # A poll that waits for an assignment under way does not return by itself.
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS_MAX):
                polled = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH_EVENTS_MAX)
        if sum(map(len, polled.values())) >= _BATCH_EVENTS_MAX:
            # The client gives what it has of one partition before it comes to the next, which waits meanwhile.
            self._standstill.forget()
        for place, records in polled.items():
            await self._apply(place, records)
        await self._sweep()
        self._show_lag()
        places = {TopicPartition(self._topic, part): claim.next_offset for part, claim in self._claims.items()}
        if await self._standstill.found(self._consumer, places):
            log.error("resolver_consumer_hangs", seconds=STANDSTILL_SECONDS)
            await self._close()

    async def _claim(self, place: TopicPartition) -> None:
        self._beat()
        claim = await self._store.claim(place.partition)
        begins = (await self._consumer.beginning_offsets([place]))[place]
        self._beat()
        ends = (await self._consumer.end_offsets([place]))[place]
        if not begins <= claim.next_offset <= ends:
            if claim.next_offset:
                # Nothing that is still there is skipped: deciding an event again gives the same record.
                log.error("unresolved_log_changed", part=place.partition, expected=claim.next_offset, begins=begins)
            claim = claim._replace(next_offset=begins)
        if place not in self._consumer.assignment():
            return
        self._claims[place.partition] = claim
        self._consumer.seek(place, claim.next_offset)
        self._consumer.resume(place)
        self._claimed_up_to[place.partition] = ends
        self._swept.discard(place.partition)
        await self._guarded(self._resolver.release(claim), place.partition)

    async def _apply(self, place: TopicPartition, records: list[Any]) -> None:
        claim = self._claims.get(place.partition)
        if claim is None:
            return
        found = records[0].offset
        if found != claim.next_offset and self._odd.get(place.partition) != (claim.next_offset, found):
            # From before the claim, or the log is another one: claiming again finds the place. A second time it is a
            # gap in the log.
            self._odd[place.partition] = (claim.next_offset, found)
            log.warning("unexpected_offset", part=place.partition, expected=claim.next_offset, found=found)
            self._lose(place.partition)
            return
        try:
            moved = await self._resolver.apply(claim, records)
        except Superseded:
            self._lose(place.partition)
            return
        if self._claims.get(place.partition) is claim:
            self._claims[place.partition] = moved
            self._metrics.decided_until(place.partition, records[-1].timestamp)

    async def _sweep(self) -> None:
        """End waits that were too long, once a minute, but not before all that was there at the claim is decided.

        An owner of before may have produced a batch and not written it: it must find as many waiting as there were.
        """
        if time.monotonic() - self._swept_at > _SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            self._swept.clear()
        for partition, claim in list(self._claims.items()):
            if partition not in self._swept and claim.next_offset >= self._claimed_up_to[partition]:
                self._beat()
                self._swept.add(partition)
                await self._guarded(self._resolver.expire(claim), partition)

    async def _guarded(self, work: Any, partition: int) -> None:
        try:
            await work
        except Superseded:
            self._lose(partition)

    def _lose(self, partition: int) -> None:
        """Claim it again, if it is still ours."""
        self._claims.pop(partition, None)
        place = TopicPartition(self._topic, partition)
        if place in self._consumer.assignment():
            self._consumer.pause(place)

    async def _connect(self) -> None:
        self._claims.clear()
        self._standstill.forget()
        consumer = self._new_consumer()
        await join_group(consumer, self._topic, self)
        self._consumer = consumer

    async def _close(self) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await leave_group(consumer)

    def _show_lag(self) -> None:
        for partition, claim in self._claims.items():
            place = TopicPartition(self._topic, partition)
            if place in self._consumer.assignment():
                end = self._consumer.highwater(place)
                if end is not None:
                    lag = max(0, end - claim.next_offset)
                    self._metrics.resolver_lag.labels(str(partition)).set(lag)
                    if not lag:
                        # As of the broker's newest answer: a client that hangs gets none, and the partition ages.
                        self._metrics.decided_until(partition, self._consumer.last_poll_timestamp(place))
