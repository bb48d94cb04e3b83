"""Kafka as the protocol sees it: topics in memory, readers of no group, producers whose batches go astray."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from tests.simulator.faults import Fate, Faults
from tests.simulator.loop import Process, VirtualLoop

_LATENCY_SECONDS = 0.01
_LATE_SECONDS_MAX = 4.0
_BATCH_ROWS_MAX = 20


@dataclass(slots=True)
class LogRecord:
    """A record as consumers get it; `timestamp` is the append time in milliseconds."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Broker:
    """Partitioned logs by topic; nothing is ever lost."""

    def __init__(self, loop: VirtualLoop, faults: Faults, *, topics: Iterable[str], parts: int) -> None:
        self.loop = loop
        self.faults = faults
        self.logs: dict[str, list[list[LogRecord]]] = {topic: [[] for _ in range(parts)] for topic in topics}

    def append(
        self, topic: str, part: int, key: bytes | None, value: bytes | None, *, at_ms: int, headers: Any = ()
    ) -> None:
        """Add one record at the end."""
        log = self.logs[topic][part]
        log.append(LogRecord(part, len(log), at_ms, key, value, headers))

    def latency(self) -> float:
        """How long one way takes."""
        return self.faults.dice.random() * _LATENCY_SECONDS

    async def answer(self) -> None:
        """Be asked something, and answer unless a fault comes in between."""
        await asyncio.sleep(self.latency())
        if self.faults.chance(self.faults.rates.reads_fail):
            raise KafkaConnectionError


class Reader:
    """A consumer that belongs to no group."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self.broker = broker
        self.process = process
        self.positions: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Connect."""
        await self.broker.answer()

    async def stop(self) -> None:
        """Disconnect."""

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Always 0: retention takes nothing here."""
        self.process.reach("log.asked")
        await self.broker.answer()
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the newest record of each."""
        await self.broker.answer()
        self.process.reach("log.done")
        return {place: self.highwater(place) for place in places}

    def highwater(self, place: TopicPartition) -> int:
        """The offset after the newest record."""
        return len(self._log(place))

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """Read these from now on."""
        self.positions = dict.fromkeys(places, 0)

    def unsubscribe(self) -> None:
        """Read nothing."""
        self.positions = {}

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Read on from there."""
        assert place in self.positions, f"{place} is not assigned"
        self.positions[place] = offset

    async def getmany(
        self, *, timeout_ms: int, max_records: int | None = None
    ) -> dict[TopicPartition, list[LogRecord]]:
        """What comes next, some of it at a time."""
        await self.broker.answer()
        return self.fetched(self.positions)

    def fetched(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, list[LogRecord]]:
        """Up to thirty records of each place that has some, and its position after them."""
        found = {}
        for place in places:
            start = self.positions[place]
            records = self._log(place)[start : start + 1 + int(self.broker.faults.dice.random() * 30)]
            if records:
                found[place] = records
                self.positions[place] = start + len(records)
        return found

    def _log(self, place: TopicPartition) -> list[LogRecord]:
        return self.broker.logs[place.topic][place.partition]


class ProduceBatch:
    """Rows of one produce request."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes, Any]] = []

    def append(self, *, key: bytes, value: bytes, timestamp: None, headers: Any) -> object | None:
        """Add a row; None when the batch is full."""
        if len(self.rows) == _BATCH_ROWS_MAX:
            return None
        self.rows.append((key, value, headers))
        return self

    def close(self) -> None:
        """No more rows."""


class Producer:
    """A producer of the relay; a batch that it gave up on may still land, after what follows."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process

    async def start(self) -> None:
        """Connect."""
        await self._broker.answer()

    async def stop(self) -> None:
        """Disconnect; what is under way is not called back."""

    def create_batch(self) -> ProduceBatch:
        """An empty batch."""
        return ProduceBatch()

    async def send_batch(self, batch: ProduceBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        """Send; the future tells whether it landed."""
        broker = self._broker
        acknowledged: asyncio.Future[None] = broker.loop.create_future()
        fate = broker.faults.fate(broker.faults.rates.produces, "produce")
        there, back = broker.latency(), broker.latency()
        late = there + broker.faults.dice.random() * _LATE_SECONDS_MAX
        landings = {Fate.LOST: (), Fate.LATE: (late,), Fate.SILENT: (late,), Fate.TWICE: (there, late)}
        for delay in landings.get(fate, (there,)):
            broker.loop.outside(delay, self._land, batch, topic, partition)
        if fate in (Fate.ANSWERED, Fate.TWICE):
            broker.loop.outside(there + back, self._acknowledge, acknowledged)
        elif fate is not Fate.SILENT:
            broker.loop.outside(there + back, self._refuse, acknowledged)
        self._process.reach("produce.asked")
        return acknowledged

    def _land(self, batch: ProduceBatch, topic: str, part: int) -> None:
        for key, value, headers in batch.rows:
            self._broker.append(topic, part, key, value, at_ms=0, headers=headers)
        self._process.reach("produce.done")

    def _refuse(self, acknowledged: asyncio.Future[None]) -> None:
        if not acknowledged.done():
            acknowledged.set_exception(KafkaTimeoutError())

    def _acknowledge(self, acknowledged: asyncio.Future[None]) -> None:
        if not acknowledged.done():
            acknowledged.set_result(None)
            self._process.reach("produce.answered")
