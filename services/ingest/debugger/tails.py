"""Reads topics backwards, newest record first, within bounds of time, records and bytes, on a consumer of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from services.ingest.debugger.rows import EventRow
from services.ingest.delivery import BrokerUnavailable
from services.runtime.kafka import BrokerTrouble, new_consumer

# Of one reading: what is looked at, filters included, and what is kept for the answer.
RECORDS_MAX = 50_000
BYTES_MAX = 4_194_304
READINGS_MAX = 2
# The last of them is answered within 28 s: two readings and rests before its own; the command line waits 30 s.
WAITING_MAX = 4
_STEP_RECORDS = (200, 5_000)
_FETCH_BYTES_MAX = 8_388_608
_READ_SECONDS = 3.0
_WHOLE_SECONDS = 6.0
_STOP_SECONDS = 2.0
_REST_SECONDS_MAX = 2.0
_POLL_MS = 100

Offsets = Mapping[int, int]
Pick = Callable[[Any], EventRow | None]


class Busy(Exception):
    """As many readings as may be are under way already."""


class Found(NamedTuple):
    """A record that was asked for: its append time, place and size, and what was made of it."""

    at_ms: int
    partition: int
    offset: int
    size_bytes: int
    row: EventRow


class Tail(NamedTuple):
    """Newest first. `start` is down to where all was looked at, with `more` before it, and `end` where the topic ended;
    a `full` page holds as much as it may."""

    found: list[Found]
    start: dict[int, int]
    end: dict[int, int]
    more: bool
    full: bool


@dataclass(slots=True)
class _Partition:
    """`unread` is the offset above which all was looked at, `oldest_ms` the append time of the oldest of these."""

    begin: int
    unread: int
    oldest_ms: float = float("inf")
    # Above what was found here and left for the next page.
    left: int = 0

    @property
    def exhausted(self) -> bool:
        return self.unread <= self.begin


@dataclass(slots=True)
class _Reading:
    """One answer in the making."""

    partitions: dict[int, _Partition]
    limit: int
    found: list[Found] = field(default_factory=list)
    looked_at: int = 0
    found_bytes: int = 0

    def wanted(self) -> list[int]:
        """The partitions in which there may be something newer than the last of a full page."""
        full = len(self.found) >= self.limit
        oldest_ms = self.found[-1].at_ms if full else float("-inf")
        return [number for number, one in self.partitions.items() if not one.exhausted and one.oldest_ms >= oldest_ms]

    def trim(self) -> None:
        """Keep the newest that make a page."""
        self.found.sort(key=lambda one: one[:3], reverse=True)
        size_bytes = kept = 0
        for one in self.found[: self.limit]:
            size_bytes += one.size_bytes
            if kept and size_bytes > BYTES_MAX:
                self.limit = kept
                break
            kept += 1
        self._leave(kept)

    def close(self) -> None:
        """Leave for the next page what may be older than something that was not looked at."""
        sure_ms = max((one.oldest_ms for one in self.partitions.values() if not one.exhausted), default=float("-inf"))
        if self.wanted():
            self._leave(sum(one.at_ms >= sure_ms for one in self.found))

    def tail(self, end: dict[int, int]) -> Tail:
        """The answer."""
        start = {number: max(one.unread, one.left) for number, one in self.partitions.items()}
        more = any(start[number] > one.begin for number, one in self.partitions.items())
        return Tail(self.found, start, end, more, full=len(self.found) >= self.limit)

    def _leave(self, kept: int) -> None:
        for one in self.found[kept:]:
            partition = self.partitions[one.partition]
            partition.left = max(partition.left, one.offset + 1)
        del self.found[kept:]
        self.found_bytes = sum(one.size_bytes for one in self.found)


class TopicTails:
    """Raises BrokerUnavailable and Busy."""

    def __init__(self, *, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._slots = asyncio.Semaphore(READINGS_MAX)
        self._asked = 0

    async def newest(
        self,
        topic: str,
        partitions: int,
        *,
        pick: Pick,
        limit: int,
        below: Offsets | None = None,
        after: Offsets | None = None,
    ) -> Tail:
        """At most `limit` of the records at or above `after` and below `below` of which `pick` makes a row.

        It may be fewer, and none, although more follow: RECORDS_MAX and a few seconds are what it looks at.
        """
        try:
            async with self._slot(), asyncio.timeout(_WHOLE_SECONDS), self._consumer() as consumer:
                places = [TopicPartition(topic, number) for number in range(partitions)]
                consumer.assign(places)
                begins = await consumer.beginning_offsets(places)
                ends = await consumer.end_offsets(places)
                reading = _Reading(
                    {
                        place.partition: _Partition(
                            begin=max(begins[place], (after or {}).get(place.partition, 0)),
                            unread=min(ends[place], (below or {}).get(place.partition, ends[place])),
                        )
                        for place in places
                    },
                    limit,
                )
                await _read(consumer, topic, reading, pick)
        except (BrokerTrouble, TimeoutError, OSError) as error:
            raise BrokerUnavailable(type(error).__name__) from error
        return reading.tail({place.partition: ends[place] for place in places})

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._asked >= READINGS_MAX + WAITING_MAX:
            raise Busy
        self._asked += 1
        try:
            await self._slots.acquire()
            began = time.monotonic()
            try:
                yield
            finally:
                # As long again is left to those who send events, as far as those who wait bear it.
                rest_seconds = min(time.monotonic() - began, _REST_SECONDS_MAX)
                asyncio.get_running_loop().call_later(rest_seconds, self._slots.release)
        finally:
            self._asked -= 1

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        consumer = new_consumer(
            self._bootstrap_servers,
            client_id="firstvalue-ingest-debugger",
            group_id=None,
            fetch_bytes_max=_FETCH_BYTES_MAX,
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            # Its own stop may wait for a broker that is gone.
            stopping = asyncio.create_task(consumer.stop())
            await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
            stopping.cancel()


async def _read(consumer: Any, topic: str, reading: _Reading, pick: Pick) -> None:
    """Step by step backwards, a step in all partitions that matter at once, each step twice as long."""
    deadline = time.monotonic() + _READ_SECONDS
    step, step_max = _STEP_RECORDS
    while (wanted := reading.wanted()) and reading.looked_at < RECORDS_MAX and time.monotonic() < deadline:
        size = max(1, min(step, (RECORDS_MAX - reading.looked_at) // len(wanted)))
        await _step(consumer, topic, reading, wanted, size, pick)
        reading.trim()
        step = min(2 * step, step_max)
    reading.close()


async def _step(
    consumer: Any,
    topic: str,
    reading: _Reading,
    wanted: list[int],
    size: int,
    pick: Pick,
) -> None:
    places = {TopicPartition(topic, number): reading.partitions[number] for number in wanted}
    ends = {place: one.unread for place, one in places.items()}
    consumer.pause(*consumer.assignment())
    for place, one in places.items():
        one.unread = max(one.begin, one.unread - size)
        consumer.seek(place, one.unread)
    consumer.resume(*places)
    open_places = set(places)
    while open_places:
        for place, records in (await consumer.getmany(*open_places, timeout_ms=_POLL_MS, max_records=500)).items():
            for record in records:
                if record.offset < ends[place]:
                    _look(record, reading, pick)
            if reading.found_bytes > 2 * BYTES_MAX:
                reading.trim()
        for place in list(open_places):
            if await consumer.position(place) >= ends[place]:
                open_places.discard(place)
                consumer.pause(place)


def _look(record: Any, reading: _Reading, pick: Pick) -> None:
    partition = reading.partitions[record.partition]
    partition.oldest_ms = min(partition.oldest_ms, record.timestamp)
    reading.looked_at += 1
    row = pick(record)
    if row is not None:
        size_bytes = len(record.value or b"")
        reading.found.append(Found(record.timestamp, record.partition, record.offset, size_bytes, row))
        reading.found_bytes += size_bytes
