"""The notifier's intake: its own batch writer over tables in memory, with the position kept beside the messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from services.notifier.backlog import Backlog
from services.notifier.domain.sequence import Progress
from services.notifier.intake_batch import BatchWriter
from services.notifier.metrics import NotifierMetrics
from services.notifier.store.intake import Message, Poison, Position, PositionLost, Subscriber
from tests.simulator.log import Broker, LogRecord, Reader
from tests.simulator.loop import Process

_POLL_MS = 100


@dataclass
class IntakeTables:
    """What the database of the notifier holds; one transaction at a time, all of it or nothing."""

    positions: dict[int, Position]
    messages: dict[str, bytes] = field(default_factory=dict)
    # Not a table: every message that became deliveries, for good, whatever a failover makes the tables forget.
    delivered: list[tuple[int, Message]] = field(default_factory=list)
    unreadable: list[Poison] = field(default_factory=list)

    def copy(self) -> IntakeTables:
        """The tables as they are now."""
        return IntakeTables(dict(self.positions), dict(self.messages), self.delivered, self.unreadable)

    def rewind(self, earlier: IntakeTables) -> None:
        """A failover: commits since then are lost."""
        self.positions, self.messages = dict(earlier.positions), dict(earlier.messages)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[IntakeTransaction]:
        """A transaction; nothing happens before its end, and a process may die in it."""
        transaction = IntakeTransaction(self)
        yield transaction
        await asyncio.sleep(0)
        transaction.commit()


class IntakeTransaction:
    """What one polled batch writes."""

    def __init__(self, tables: IntakeTables) -> None:
        self._tables = tables
        self._before: Mapping[int, Position] = {}
        self._positions: dict[int, Position] = {}
        self._new: dict[str, Message] = {}
        self._poison: list[Poison] = []

    async def advance(self, before: Mapping[int, Position], after: Mapping[int, Position]) -> None:
        """Move the positions."""
        self._before, self._positions = before, dict(after)

    async def add_messages(self, messages: Sequence[Message]) -> set[str]:
        """The ids that were new."""
        for message in messages:
            if message.id not in self._tables.messages:
                self._new.setdefault(message.id, message)
        return set(self._new)

    async def subscribers(self) -> Sequence[Subscriber]:
        """Deliveries are not modelled."""
        return ()

    async def add_dead_letters(self, poison: Sequence[Poison]) -> None:
        """Keep what cannot be read."""
        self._poison = list(poison)

    def commit(self) -> None:
        """All at once. Raises PositionLost when a position is not where it was, which a failover may have done."""
        tables = self._tables
        if any(tables.positions[part] != self._before[part] for part in self._positions):
            raise PositionLost
        tables.positions |= self._positions
        (part,) = self._positions
        for message in self._new.values():
            tables.messages[message.id] = message.body
            tables.delivered.append((part, message))
        tables.unreadable += self._poison


class Notifier:
    """Reads the signals of all partitions, one after the other, from where its tables say that it stands."""

    def __init__(self, broker: Broker, *, topic: str, parts: int) -> None:
        self.broker = broker
        self._places = [TopicPartition(topic, part) for part in range(parts)]
        self._metrics = NotifierMetrics(CollectorRegistry())
        self.tables = IntakeTables(dict.fromkeys(range(parts), Position(0, Progress())))

    async def run(self, process: Process) -> None:
        """One life of the process."""
        writer = BatchWriter(
            store=cast(Any, self.tables),
            backlog=Backlog(waiting_max=0),
            metrics=self._metrics,
            on_committed=lambda: None,
        )
        reader = Reader(self.broker, process)
        while True:
            for place in self._places:
                before = self.tables.positions[place.partition]
                with suppress(KafkaError, PositionLost):
                    records = await self._read(reader, place, before)
                    if records:
                        await self._write(writer, before, records)
            await asyncio.sleep(_POLL_MS / 1000)

    async def _read(self, reader: Reader, place: TopicPartition, position: Position) -> list[LogRecord]:
        reader.assign([place])
        reader.seek(place, position.next_offset)
        return (await reader.getmany(timeout_ms=0)).get(place, [])

    async def _write(self, writer: BatchWriter, before: Position, records: list[LogRecord]) -> None:
        await writer.write({records[0].partition: before}, {records[0].partition: records})
