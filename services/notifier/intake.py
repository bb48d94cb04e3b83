"""Turns records of the signals topic into messages and owed deliveries, in one transaction per polled batch.

The position lives in PostgreSQL beside the messages. A partition is used only after its stored position was read and
sought: the client makes an assignment active before it calls back, so records from elsewhere may come first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from services.notifier.intake_batch import BatchWriter
from services.notifier.metrics import NotifierMetrics
from services.notifier.store.intake import IntakeStore, Position, PositionLost
from services.runtime.health import Health
from services.runtime.kafka import join_group, leave_group
from services.runtime.postgres import is_transient
from services.runtime.process import Stopping
from services.runtime.standstill import STANDSTILL_SECONDS, Standstill

log = structlog.get_logger(__name__)

_POLL_MS = 200
_POLL_SECONDS_MAX = 5.0
_COMMIT_SECONDS = 5.0
_COMMIT_SECONDS_MAX = 2.0
_BACKOFF_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeParts:
    """What intake works with; `new_consumer` makes one that is neither started nor subscribed."""

    new_consumer: Callable[[], Any]
    topic: str
    store: IntakeStore
    writer: BatchWriter
    metrics: NotifierMetrics
    health: Health
    stopping: Stopping


class Intake(ConsumerRebalanceListener):  # type: ignore[misc]
    """The worker. `_owned` holds the partitions that were claimed, with the position that this process left them at."""

    def __init__(self, parts: IntakeParts) -> None:
        self._parts = parts
        self._consumer: Any = None
        self._owned: dict[int, Position] = {}
        self._in_transaction = asyncio.Lock()
        self._failures = 0
        self._standstill = Standstill()
        self._committed_at = 0.0
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        """Read until stopped; a broker or database that is away is waited for."""
        while not self._parts.stopping:
            self._consumer = self._parts.new_consumer()
            # A broker that stays away must not make this worker look dead: a restart would not bring it back.
            self._parts.health.beat("intake")
            try:
                await join_group(self._consumer, self._parts.topic, self)
                self._standstill.forget()
                await self._read()
            except (KafkaError, OSError) as error:
                log.warning("intake_consumer_failed", error=type(error).__name__)
            finally:
                self._owned.clear()
                self._parts.health.beat("intake")
                await leave_group(self._consumer)
            await self._back_off()
        self.stopped.set()

    async def on_partitions_assigned(self, assigned: set[Any]) -> None:
        """Pause everything until its position is known. No I/O here: no heartbeat is sent meanwhile."""
        self._standstill.forget()
        self._consumer.pause(*assigned)
        self._owned.clear()
        # Partitions that went to others may have been claimed since, for the client tells the assignment of before.
        self._parts.writer.watch_gaps(self._owned)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Let the transaction under way finish, then forget all positions, and with them whose gaps are shown."""
        self._standstill.forget()
        async with self._in_transaction:
            self._owned.clear()
            self._parts.writer.watch_gaps(self._owned)

    async def _read(self) -> None:
        while not self._parts.stopping:
            self._parts.health.beat("intake")
            try:
                await self._claim()
                await self._take(await self._poll())
                self._failures = 0
            except PositionLost:
                self._parts.metrics.positions_lost.inc()
                await self._start_over("intake_position_lost")
            except (SQLAlchemyError, OSError) as error:
                if not is_transient(error):
                    raise
                await self._start_over("intake_database_failed")
            await self._commit_for_lag_tools()
            if await self._standstill.found(self._consumer, self._places()):
                log.error("intake_consumer_hangs", seconds=STANDSTILL_SECONDS)
                return

    async def _claim(self) -> None:
        """Read and seek the position of each assigned partition that has none here yet."""
        partitions = {entry.partition: entry for entry in self._consumer.assignment()}
        unclaimed = [entry for part, entry in partitions.items() if part not in self._owned]
        if not unclaimed:
            return
        self._consumer.pause(*unclaimed)
        beginnings = {entry.partition: offset for entry, offset in (await self._beginnings(unclaimed)).items()}
        self._parts.health.beat("intake")
        ends = await self._consumer.end_offsets(unclaimed)
        positions = await self._parts.store.positions(beginnings)
        for entry in unclaimed:
            part, position = entry.partition, positions[entry.partition]
            if not beginnings[part] <= position.next_offset <= ends[entry]:
                position = await self._move(part, position, beginnings[part])
            if entry not in self._consumer.assignment():
                continue
            self._consumer.seek(entry, position.next_offset)
            self._owned[part] = position
            self._consumer.resume(entry)
        self._parts.writer.watch_gaps(self._owned)

    async def _beginnings(self, partitions: Sequence[Any]) -> Mapping[Any, int]:
        found: Mapping[Any, int] = await self._consumer.beginning_offsets(partitions)
        return found

    async def _move(self, part: int, position: Position, beginning: int) -> Position:
        """The topic was recreated, lost its end, or its retention passed us; ids dedupe, so its beginning is a safe
        start."""
        log.error("intake_position_outside_topic", partition=part, position=position.next_offset, beginning=beginning)
        await self._parts.store.reset(part, expected=position.next_offset, next_offset=beginning)
        return Position(beginning, position.progress)

    async def _poll(self) -> Mapping[Any, Sequence[Any]]:
        records_max = self._parts.writer.records_max
        polled: Mapping[Any, Sequence[Any]] = {}
        # A poll that waits for an assignment under way does not return by itself.
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS_MAX):
                polled = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=records_max)
        if sum(map(len, polled.values())) >= records_max:
            # The client drains one partition before the next: the others may stand because they wait for their turn.
            self._standstill.forget()
        return polled

    async def _take(self, polled: Mapping[Any, Sequence[Any]]) -> None:
        async with self._in_transaction:
            batch: dict[int, Sequence[Any]] = {}
            for entry, records in polled.items():
                owned = self._owned.get(entry.partition)
                if owned is None or not records:
                    continue
                if records[0].offset < owned.next_offset:
                    # The log has lost our place, and the client went back to its beginning by itself.
                    self._owned[entry.partition] = await self._move(entry.partition, owned, records[0].offset)
                batch[entry.partition] = records
            if not batch:
                return
            before = {part: self._owned[part] for part in batch}
            after = await self._parts.writer.write(before, batch)
            self._owned.update(after)

    async def _start_over(self, event: str) -> None:
        """Trust no position any more; while waiting keep polling with everything paused, so that the group stays."""
        log.warning(event, failures=self._failures + 1)
        self._owned.clear()
        self._standstill.forget()
        assigned = self._consumer.assignment()
        if assigned:
            self._consumer.pause(*assigned)
        await self._back_off()

    async def _back_off(self) -> None:
        seconds = _BACKOFF_SECONDS[min(self._failures, len(_BACKOFF_SECONDS) - 1)]
        self._failures += 1
        await self._parts.stopping.sleep(seconds)

    async def _commit_for_lag_tools(self) -> None:
        now = time.monotonic()
        if now - self._committed_at < _COMMIT_SECONDS or not self._owned:
            return
        self._committed_at = now
        # While the broker is away the client would try again for ever.
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_COMMIT_SECONDS_MAX):
                await self._consumer.commit(self._places())

    def _places(self) -> dict[Any, int]:
        return {TopicPartition(self._parts.topic, part): owned.next_offset for part, owned in self._owned.items()}
