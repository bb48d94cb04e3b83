"""Turns records of the signals topic into messages and owed deliveries, in one transaction per polled batch.

The position lives in PostgreSQL beside the messages. A partition is used only after its stored position was read and
sought: the client makes an assignment active before it calls back, so records from elsewhere may come first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.notifier.intake_batch import BatchWriter
from services.notifier.metrics import NotifierMetrics
from services.notifier.store.intake import IntakeStore, Position, PositionLost
from services.runtime.group import GroupMember
from services.runtime.health import Health
from services.runtime.kafka import BrokerTrouble
from services.runtime.postgres import is_transient
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

_POLL_MS = 200
_COMMIT_SECONDS = 5.0
_BACKOFF_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeParts:
    """What intake works with; `new_consumer` makes Kafka clients that are neither started nor subscribed."""

    new_consumer: Callable[[], Any]
    topic: str
    store: IntakeStore
    writer: BatchWriter
    metrics: NotifierMetrics
    health: Health
    stopping: Stopping


class Intake:
    """The worker. `_owned` holds the partitions that were claimed, with the position that this process left them at."""

    def __init__(self, parts: IntakeParts) -> None:
        self._parts = parts
        self._member = GroupMember(
            new_consumer=parts.new_consumer,
            topic=parts.topic,
            on_assigned=self._on_assigned,
            on_revoked=self._on_revoked,
        )
        self._owned: dict[int, Position] = {}
        # Seconds since 1970: the newest signal that was taken up of each partition, before the first one its claim.
        self._taken_at: dict[int, float] = {}
        self._in_transaction = asyncio.Lock()
        self._failures = 0
        self._committed_at = 0.0
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        """Read until stopped; a broker or database that is away is waited for."""
        while not self._parts.stopping:
            # A broker that stays away must not make this worker look dead: a restart would not bring it back.
            self._beat()
            try:
                await self._member.join()
                await self._read()
            except (BrokerTrouble, OSError) as error:
                log.warning("intake_consumer_failed", error=type(error).__name__)
            finally:
                self._forget()
                self._beat()
                await self._member.leave()
            await self._back_off()
        self.stopped.set()

    def _on_assigned(self, _: Collection[int]) -> None:
        """Trust no position from before; partitions that went to others may have been claimed in the rebalance."""
        self._forget()
        self._parts.writer.watch_gaps(self._owned)

    async def _on_revoked(self, _: Collection[int]) -> None:
        """Let the transaction under way finish, then forget all positions, and with them whose gaps are shown."""
        async with self._in_transaction:
            self._forget()
            self._parts.writer.watch_gaps(self._owned)

    def _forget(self) -> None:
        self._owned.clear()
        self._taken_at.clear()
        self._parts.metrics.forget_intake_lag()

    async def _read(self) -> None:
        while not self._parts.stopping:
            self._beat()
            try:
                await self._claim()
                await self._take(await self._member.poll(_POLL_MS, records_max=self._parts.writer.records_max))
                self._show_lag()
                self._failures = 0
            except PositionLost:
                self._parts.metrics.positions_lost.inc()
                await self._start_over("intake_position_lost")
            except (SQLAlchemyError, OSError) as error:
                if not is_transient(error):
                    raise
                await self._start_over("intake_database_failed")
            await self._commit_for_lag_tools()
            if await self._member.hangs(self._next_offsets()):
                return

    async def _claim(self) -> None:
        """Read and seek the position of each assigned partition that has none here yet."""
        unclaimed = [part for part in self._member.assigned() if part not in self._owned]
        if not unclaimed:
            return
        self._member.pause(unclaimed)
        bounds = await self._member.bounds(unclaimed, beat=self._beat)
        positions = await self._parts.store.positions({part: found.begins for part, found in bounds.items()})
        for part, (begins, ends) in bounds.items():
            position = positions[part]
            if not begins <= position.next_offset <= ends:
                position = await self._move(part, position, begins)
            if self._member.read_from(part, position.next_offset):
                self._owned[part] = position
                self._taken_at.setdefault(part, time.time())
        self._parts.writer.watch_gaps(self._owned)

    async def _move(self, part: int, position: Position, beginning: int) -> Position:
        """The topic was recreated, lost its end, or its retention passed us; ids dedupe, so its beginning is a safe
        start."""
        log.error("intake_position_outside_topic", partition=part, position=position.next_offset, beginning=beginning)
        await self._parts.store.reset(part, expected=position.next_offset, next_offset=beginning)
        return Position(beginning, position.progress)

    async def _take(self, polled: Mapping[int, Sequence[Any]]) -> None:
        async with self._in_transaction:
            batch: dict[int, Sequence[Any]] = {}
            for part, records in polled.items():
                owned = self._owned.get(part)
                if owned is None or not records:
                    continue
                if records[0].offset < owned.next_offset:
                    # The log has lost our place, and the client went back to its beginning by itself.
                    self._owned[part] = await self._move(part, owned, records[0].offset)
                batch[part] = records
            if not batch:
                return
            before = {part: self._owned[part] for part in batch}
            after = await self._parts.writer.write(before, batch)
            self._owned.update(after)
            self._taken_at.update({part: records[-1].timestamp / 1000 for part, records in batch.items()})

    def _show_lag(self) -> None:
        """Of a partition that was not fetched yet nothing is known to wait."""
        ends = {part: self._member.end_of(part) for part in self._owned}
        waiting = {part: max(0, (end or 0) - self._owned[part].next_offset) for part, end in ends.items()}
        self._parts.metrics.show_intake_lag(waiting, self._taken_at)

    async def _start_over(self, event: str) -> None:
        """Trust no position any more; while waiting keep polling with everything paused, so that the group stays."""
        log.warning(event, failures=self._failures + 1)
        self._owned.clear()
        self._member.forgive()
        self._member.pause(self._member.assigned())
        await self._back_off()

    async def _back_off(self) -> None:
        seconds = _BACKOFF_SECONDS[min(self._failures, len(_BACKOFF_SECONDS) - 1)]
        self._failures += 1
        await self._parts.stopping.sleep(seconds)

    async def _commit_for_lag_tools(self) -> None:
        now = time.monotonic()
        if now - self._committed_at >= _COMMIT_SECONDS and self._owned:
            self._committed_at = now
            await self._member.commit(self._next_offsets())

    def _next_offsets(self) -> dict[int, int]:
        return {part: owned.next_offset for part, owned in self._owned.items()}

    def _beat(self) -> None:
        self._parts.health.beat("intake")
