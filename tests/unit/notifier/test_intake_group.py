"""How intake joins its group and leaves it, also while the broker is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from services.notifier.backlog import Backlog
from services.notifier.domain.sequence import Progress
from services.notifier.intake import Intake, IntakeParts
from services.notifier.intake_batch import BatchWriter
from services.notifier.metrics import NotifierMetrics
from services.notifier.store.intake import Position
from services.runtime import group
from services.runtime.health import Health
from services.runtime.process import Stopping


class Broker:
    """A broker that is away: nothing can be read of it. Its consumers fail to start, and then cannot be stopped."""

    # What the client is made of, before its start.
    _coordinator = _fetcher = _client = None

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.stopping = Stopping()
        self.asked = 0

    def new_consumer(self) -> Broker:
        """Another try; the second one is during the process's end."""
        self.asked += 1
        if self.asked == 2:
            self.stopping.request()
        return self

    async def start(self) -> None:
        """Cannot connect."""
        raise self._error

    async def stop(self) -> None:
        """Waits for an answer that never comes."""
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "error", [KafkaConnectionError(), OSError(), TimeoutError()], ids=lambda error: type(error).__name__
)
async def test_a_broker_that_is_away_is_waited_for_and_holds_up_no_end(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its absence shows."""
    monkeypatch.setattr(group, "_LEAVE_SECONDS", 0.01)
    broker = Broker(error)
    intake = _intake(broker)
    await asyncio.wait_for(intake.run(), 5)
    assert (broker.asked, intake.stopped.is_set()) == (2, True)


class Idle:
    """A broker that has nothing, or some records of a partition; the process is stopped once it was asked."""

    def __init__(self, records: Sequence[Any] = ()) -> None:
        self.stopping = Stopping()
        self.records = records
        self.asked: list[int] = []

    def new_consumer(self) -> Idle:
        """One is enough."""
        return self

    def assignment(self) -> set[Any]:
        """No partition yet."""
        return set()

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        """All that there is."""
        self.asked.append(max_records)
        self.stopping.request()
        return {TopicPartition("signals", 0): self.records} if self.records else {}

    def subscribe(self, topics: list[str], listener: object) -> None:
        """Takes it in."""

    async def start(self) -> None:
        """At once."""

    stop = start


async def test_no_more_is_read_at_once_than_one_transaction_may_hold() -> None:
    """How much that is the writer knows."""
    idle = Idle()
    await _intake(idle, writer=SimpleNamespace(records_max=17)).run()
    assert idle.asked == [17]


def a_record(offset: int) -> Any:
    """Appended a minute ago."""
    return SimpleNamespace(offset=offset, timestamp=(time.time() - 60) * 1000)


class Shortened(Idle):
    """A log of nine records, all read, that loses the last four and at once gets others in their places, and more. As
    the client does, it goes back to the beginning by itself then. The process is stopped once all was read."""

    def __init__(self) -> None:
        super().__init__()
        self.end, self.reads_at, self.stored, self.taken = 9, 0, 9, list[int]()
        self.records_max = 100

    def assignment(self) -> set[Any]:
        """One partition."""
        return {TopicPartition("signals", 0)}

    async def beginning_offsets(self, partitions: Sequence[Any]) -> dict[Any, int]:
        """Nothing has expired."""
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Sequence[Any]) -> dict[Any, int]:
        """Where it ends now."""
        return dict.fromkeys(partitions, self.end)

    def seek(self, _: object, offset: int) -> None:
        """Read on from there."""
        self.reads_at = offset

    def pause(self, *_: object) -> None:
        """Nothing is read meanwhile anyway."""

    resume = watch_gaps = pause

    async def commit(self, _: object) -> None:
        """For others to look at."""

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        """All that there is."""
        first = 0 if self.end == 9 else self.reads_at
        self.end = self.reads_at = 12
        if first == self.end:
            self.stopping.request()
        return {TopicPartition("signals", 0): [a_record(each) for each in range(first, self.end)]}

    def highwater(self, _: object) -> int:
        """Where it ends now."""
        return self.end

    async def positions(self, beginnings: Mapping[int, int]) -> dict[int, Position]:
        """As stored."""
        return {part: Position(self.stored, Progress()) for part in beginnings}

    async def reset(self, _: int, *, expected: int, next_offset: int) -> None:
        """Store it."""
        assert expected == self.stored
        self.stored = next_offset

    async def write(self, before: Mapping[int, Position], batch: Mapping[int, Sequence[Any]]) -> dict[int, Position]:
        """Take them."""
        assert before[0].next_offset == self.stored == batch[0][0].offset
        self.taken += [record.offset for record in batch[0]]
        self.stored = self.taken[-1] + 1
        return {0: Position(self.stored, Progress())}


async def test_a_log_that_lost_our_place_is_read_again() -> None:
    """What comes anew under offsets that were read before is not taken for what was read: ids tell the repeats."""
    log = Shortened()
    await asyncio.wait_for(_intake(log, writer=log, store=log).run(), 5)
    assert log.taken == list(range(12))


@pytest.mark.parametrize("told", ["revoked", "assigned"])
async def test_who_gives_its_partitions_away_shows_no_gaps_of_theirs(told: str) -> None:
    """Their next owner does, and clears the alarm; one that gets no other partitions would show them for ever. Until
    the rebalance ends they may be claimed once more, since the client tells the assignment of before."""
    writer = BatchWriter(
        store=cast(Any, None),
        backlog=Backlog(waiting_max=1),
        metrics=NotifierMetrics(registry := CollectorRegistry()),
        on_committed=lambda: None,
    )
    writer.watch_gaps({0: Position(9, Progress(4, ((2, 3),)))})
    assert registry.get_sample_value("firstvalue_notifier_sequence_missing") == 2
    intake = _intake(Idle(), writer=writer)
    intake._on_assigned([]) if told == "assigned" else await intake._on_revoked([])
    assert registry.get_sample_value("firstvalue_notifier_sequence_missing") == 0


class Behind(Shortened):
    """A log of nine records, of which a poll brings four; the process is stopped at the second one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self.stored, self.registry, self.shown = 0, registry, list[float | None]()

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        """What is shown before it is noted."""
        if self.taken:
            self.shown = lag(self.registry)
            self.stopping.request()
        return {TopicPartition("signals", 0): [a_record(self.stored + number) for number in range(4)]}


def lag(registry: CollectorRegistry) -> list[float | None]:
    """Records and seconds, of the partition."""
    names = [f"firstvalue_notifier_intake_lag_{unit}" for unit in ("records", "seconds")]
    return [registry.get_sample_value(name, {"partition": "0"}) for name in names]


async def test_how_far_it_is_behind_is_shown_by_partition() -> None:
    """As long as the partition is ours: who has left the group says nothing about it."""
    log = Behind(registry := CollectorRegistry())
    await asyncio.wait_for(_intake(log, writer=log, store=log, registry=registry).run(), 5)
    records, seconds = log.shown
    assert records == 5
    assert seconds is not None
    assert 60 <= seconds < 70
    assert lag(registry) == [None, None]


def _intake(
    broker: Any, *, writer: object = None, store: object = None, registry: CollectorRegistry | None = None
) -> Intake:
    parts = IntakeParts(
        new_consumer=broker.new_consumer,
        topic="signals",
        store=cast(Any, store),
        writer=cast(Any, writer),
        metrics=NotifierMetrics(registry or CollectorRegistry()),
        health=Health(checks={}),
        stopping=broker.stopping,
    )
    return Intake(parts)
