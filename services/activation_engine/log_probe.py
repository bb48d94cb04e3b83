"""Is the log still the one that was applied? Reads single records and the bounds of partitions, outside any group.

A consumer of its own, because the group's cannot fetch one partition while another still holds unread records.
Topic ids are not told to this client: a recreated topic shows only in its offsets and append times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.activation_engine.store import Lease

_CALL_SECONDS = 10.0


class LogUnreachable(Exception):
    """No broker answered in time; try again later."""


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Raises LogUnreachable when a broker fails inside, or takes longer than ten seconds."""
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise LogUnreachable(type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class Checked:
    """Where to go on, or why not: `source_changed`, `records_expired`, `tail_lost` or `recreated`; `waiting` when there
    are records to go on with; `begins_at` is the first offset that the log still has."""

    next_offset: int
    stop_reason: str | None = None
    waiting: bool = False
    begins_at: int = 0


class LogProbe:
    """Calls take turns. `new_consumer` makes consumers that belong to no group and are not started."""

    def __init__(self, new_consumer: Callable[[], Any], *, topic: str) -> None:
        self._new_consumer = new_consumer
        self._consumer: Any = None
        self._topic = topic
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises LogUnreachable."""
        consumer = self._new_consumer()
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            await consumer.stop()
            raise LogUnreachable(type(error).__name__) from error
        self._consumer = consumer

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def check(self, leases: Sequence[Lease]) -> dict[int, Checked]:
        """For each lease by partition: does the log still hold what follows what was applied? Raises LogUnreachable."""
        async with self._turn, answering():
            return await self._check(leases)

    async def end_offsets(self, parts: Sequence[int]) -> dict[int, int]:
        """The offset after the newest record, by partition. Raises LogUnreachable."""
        async with self._turn, answering():
            ends = await self._consumer.end_offsets([self._at(part) for part in parts])
        return {place.partition: end for place, end in ends.items()}

    async def _check(self, leases: Sequence[Lease]) -> dict[int, Checked]:
        places = [self._at(lease.part) for lease in leases]
        begins = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        checked: dict[int, Checked] = {}
        readable: dict[int, Lease] = {}
        for lease, place in zip(leases, places, strict=True):
            result = _by_bounds(lease, self._topic, begins[place], ends[place])
            checked[lease.part] = result
            if result.stop_reason is None and lease.last_append_ms is not None and begins[place] < lease.next_offset:
                readable[lease.part] = lease
        for part, appended_ms in (await self._append_times(readable.values())).items():
            if appended_ms != readable[part].last_append_ms:
                checked[part] = Checked(readable[part].next_offset, "recreated")
        return checked

    async def _append_times(self, leases: Iterable[Lease]) -> dict[int, int]:
        """The append time of the last applied record of each, left out where a marker of the broker has its offset."""
        wanted = {self._at(lease.part): lease.next_offset - 1 for lease in leases}
        found: dict[int, int] = {}
        try:
            while wanted:
                self._consumer.assign(list(wanted))
                for place, offset in wanted.items():
                    self._consumer.seek(place, offset)
                for place, records in (await self._consumer.getmany(timeout_ms=500)).items():
                    offset = wanted.pop(place)
                    if records[0].offset == offset:
                        found[place.partition] = records[0].timestamp
        finally:
            self._consumer.unsubscribe()
        return found

    def _at(self, part: int) -> TopicPartition:
        return TopicPartition(self._topic, part)


def _by_bounds(lease: Lease, topic: str, begin: int, end: int) -> Checked:
    if lease.source != topic:
        return Checked(lease.next_offset, "source_changed")
    if lease.last_append_ms is None and lease.next_offset == 0:
        # Never applied anything: what retention took before the first start was promised to nobody.
        return Checked(begin, waiting=begin < end, begins_at=begin)
    if lease.next_offset < begin:
        return Checked(lease.next_offset, "records_expired")
    if lease.next_offset > end:
        return Checked(lease.next_offset, "tail_lost")
    return Checked(lease.next_offset, waiting=lease.next_offset < end, begins_at=begin)
