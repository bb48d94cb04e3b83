"""The resolver's loop in its consumer group: what it claims and replaces, and how late it says that it is."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

import services.ingest.directory.consumer
import services.ingest.metrics
from services.ingest.directory.consumer import ResolverConsumer
from services.ingest.directory.store import Claim
from services.ingest.metrics import IngestMetrics
from services.runtime import standstill
from services.runtime.process import Stopping


async def test_a_partition_that_was_given_away_is_told_of_by_its_new_owner_alone() -> None:
    """Else its lag of that moment would stand beside the true one, and wake somebody, until this process ends."""
    assigned, metrics = Assigned(batches=0), IngestMetrics()
    await consumer_of(assigned, [], metrics)._turn()
    for gauge in (metrics.resolver_lag, metrics.resolver_lag_seconds, metrics.parked):
        gauge.labels("0").set(7)
        gauge.labels("1").set(7)
    await assigned.listener.on_partitions_revoked([TopicPartition("unresolved", 0), TopicPartition("unresolved", 2)])
    names = [f"firstvalue_ingest_{name}" for name in ("resolver_lag_records", "resolver_lag_seconds", "parked_events")]
    told = {
        (name, part): metrics.registry.get_sample_value(name, {"partition": part}) for name in names for part in "01"
    }
    assert told == {(name, part): None if part == "0" else 7 for name in names for part in "01"}


class Assigned:
    """A group consumer that has one partition, whose log holds so many batches of one record, some minutes old; the
    broker last answered at `heard_at`."""

    AGE_SECONDS = 500

    def __init__(self, batches: int) -> None:
        self.place = TopicPartition("unresolved", 0)
        self._subscription = SimpleNamespace(reassignment_in_progress=False)
        self.batches = batches
        self.given = 0
        self.heard_at = time.time()
        self.paused = False
        self.listener: Any = None

    def assignment(self) -> set[TopicPartition]:
        return {self.place}

    async def beginning_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {self.place: 0}

    async def end_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {self.place: self.batches}

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        if self.given == self.batches:
            return {}
        self.given += 1
        appended_ms = (time.time() - self.AGE_SECONDS) * 1000
        return {self.place: [SimpleNamespace(offset=self.given - 1, timestamp=appended_ms)]}

    def highwater(self, _: TopicPartition) -> int:
        return self.batches

    def last_poll_timestamp(self, _: TopicPartition) -> float:
        return self.heard_at * 1000

    def seek(self, *_: Any) -> None:
        pass

    def pause(self, *_: Any) -> None:
        self.paused = True

    def resume(self, *_: Any) -> None:
        self.paused = False

    def subscribe(self, _: Any, *, listener: Any) -> None:
        self.listener = listener
        listener.on_partitions_assigned(self.assignment())

    async def start(self) -> None:
        pass

    stop = start


class Hung(Assigned):
    """One that gets nothing of what waits, as after a broker's restart."""

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        return {}


class Ended(Assigned):
    """One whose own task has ended; it tells so at every poll."""

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        raise KafkaError


def consumer_of(
    assigned: Assigned, told: list[str], metrics: IngestMetrics, *, next_one: Callable[[], Assigned] | None = None
) -> ResolverConsumer:
    """Its resolver only tells what it is asked."""

    async def claim(partition: int) -> Claim:
        return Claim(partition, uuid.uuid4(), 0)

    async def apply(claim: Claim, records: Sequence[Any]) -> Claim:
        told.append("applied")
        return claim._replace(next_offset=records[-1].offset + 1)

    async def release(_: Claim) -> None:
        told.append("released")

    async def expire(_: Claim) -> None:
        told.append("expired")

    resolver = SimpleNamespace(apply=apply, release=release, expire=expire)
    parts: Any = {
        "new_consumer": next_one or (lambda: assigned),
        "store": SimpleNamespace(claim=claim),
        "resolver": resolver,
    }
    return ResolverConsumer(**parts, topic="unresolved", metrics=metrics, beat=lambda: told.append("alive"))


async def test_no_wait_ends_before_what_was_there_is_decided() -> None:
    """Of a batch that an owner of before decided and did not write, the same events are one too many again."""
    told: list[str] = []
    consumer = consumer_of(Assigned(batches=2), told, IngestMetrics())
    for _ in range(4):
        await consumer._turn()
    assert [one for one in told if one != "alive"] == ["released", "applied", "applied", "expired"]


async def test_how_late_the_resolver_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As late as the newest record that it decided, while others wait; and it ages, whatever it is that fails."""
    assigned, metrics = Assigned(batches=2), IngestMetrics()
    consumer = consumer_of(assigned, [], metrics)

    def late() -> float | None:
        seconds = metrics.registry.get_sample_value("firstvalue_ingest_resolver_lag_seconds", {"partition": "0"})
        return None if seconds is None else round(seconds, -1)

    assert late() is None
    await consumer._member.join()
    assert late() == 0
    await consumer._turn()
    assert late() == Assigned.AGE_SECONDS
    await consumer._turn()
    assert late() == 0
    assigned.heard_at -= 70
    await consumer._turn()
    assert late() == 70
    later = time.time() + 600
    monkeypatch.setattr(services.ingest.metrics, "time", SimpleNamespace(time=lambda: later))
    assert late() == 670


async def test_a_claim_made_while_the_group_rebalances_is_made_again() -> None:
    """The client tells the assignment of before until the new one is there, and that one begins paused."""
    assigned, told = Assigned(batches=0), list[str]()
    consumer = consumer_of(assigned, told, IngestMetrics())
    await consumer._turn()
    await assigned.listener.on_partitions_revoked([assigned.place])
    await consumer._turn()
    assigned.listener.on_partitions_assigned([assigned.place])
    await consumer._turn()
    assert not assigned.paused
    assert told.count("released") == 3


class Dealt(Assigned):
    """One whose assignment is dealt anew: it has `places`, and meanwhile tells those of before."""

    def __init__(self, *parts: int) -> None:
        super().__init__(batches=0)
        self.places = [TopicPartition("unresolved", part) for part in parts]

    def assignment(self) -> set[TopicPartition]:
        return set(self.places)

    async def beginning_offsets(self, places: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def deal(self, *parts: int, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Take the partitions away, and give these."""
        await self.listener.on_partitions_revoked(self.places)
        await meanwhile()
        self.places = [TopicPartition("unresolved", part) for part in parts]
        self.listener.on_partitions_assigned(self.places)


def shown(metrics: IngestMetrics) -> set[str]:
    """The partitions of which any of the resolver's gauges tells."""
    gauges = (metrics.resolver_lag, metrics.resolver_lag_seconds, metrics.parked)
    return {sample.labels["partition"] for gauge in gauges for sample in next(iter(gauge.collect())).samples}


async def test_what_others_have_after_a_rebalance_is_neither_claimed_nor_shown() -> None:
    """While it goes on the client tells the assignment of before, and what is claimed by that would stand for good."""
    dealt, metrics = Dealt(0, 1), IngestMetrics()
    consumer = consumer_of(dealt, [], metrics)
    await consumer._turn()
    assert shown(metrics) == {"0", "1"}
    await dealt.deal(0, meanwhile=consumer._turn)
    await consumer._turn()
    assert (set(consumer._claims), shown(metrics)) == ({0}, {"0"})


async def test_what_was_counted_while_it_was_given_away_is_not_shown() -> None:
    """The count of a slow database comes when others have the partition already."""
    dealt, metrics = Dealt(0, 1), IngestMetrics()
    consumer = consumer_of(dealt, [], metrics)

    async def expire(claim: Claim) -> None:
        if claim.partition == 1:
            await dealt.deal(0, meanwhile=nothing)
        metrics.parked.labels(str(claim.partition)).set(7)

    async def nothing() -> None:
        pass

    consumer._resolver.expire = expire  # type: ignore[method-assign]
    await consumer._turn()
    assert shown(metrics) == {"0"}


async def test_what_others_have_after_a_client_was_replaced_is_not_shown() -> None:
    """Leaving a group tells nobody that the partitions are gone."""
    clients, metrics = [Dealt(0, 1), Dealt(1)], IngestMetrics()
    consumer = consumer_of(clients[0], [], metrics, next_one=lambda: clients.pop(0))
    await consumer._turn()
    await consumer._member.leave()
    await consumer._turn()
    assert (set(consumer._claims), shown(metrics)) == ({1}, {"1"})


@pytest.mark.parametrize("kind", [Hung, Ended])
async def test_a_consumer_that_hangs_or_has_ended_is_replaced(
    kind: type[Assigned], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither recovers, and only Kafka's tools would show it: the process is well, and the group is content."""
    monkeypatch.setattr(standstill, "STANDSTILL_SECONDS", 0)
    monkeypatch.setattr(standstill, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(services.ingest.directory.consumer, "_PAUSE_SECONDS", 0)
    told, stopping, consumers = list[str](), Stopping(), [kind(batches=1), Assigned(batches=1)]

    def next_one() -> Assigned:
        if len(consumers) == 1:
            stopping.request()
        return consumers.pop(0)

    consumer = consumer_of(consumers[0], told, IngestMetrics(), next_one=next_one)
    await asyncio.wait_for(consumer.run(stopping), 5)
    assert [one for one in told if one != "alive"] == ["released", "released", "applied", "expired"]
    assert told.count("alive") >= len(("turn", "claim")) * 2


class Behind(Assigned):
    """A client that has much of one partition, and comes to the other one later."""

    other = TopicPartition("unresolved", 1)

    def assignment(self) -> set[TopicPartition]:
        return {self.place, self.other}

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 1_000)

    async def getmany(self, **options: Any) -> dict[TopicPartition, list[Any]]:
        max_records = options["max_records"]
        self.given += max_records
        return {
            self.place: [SimpleNamespace(offset=self.given - left, timestamp=0) for left in range(max_records, 0, -1)]
        }


async def test_whose_turn_has_not_come_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gives what it has fetched of a partition before it comes to the next; nor does one wait for itself
    while its group rebalances."""
    monkeypatch.setattr(standstill, "STANDSTILL_SECONDS", 2)
    monkeypatch.setattr(standstill, "_LOOK_SECONDS", 1)
    behind = Behind(batches=1_000)
    consumer = consumer_of(behind, [], IngestMetrics())

    async def turn() -> bool:
        consumer._member._standstill._looked_at -= 1
        await consumer._turn()
        return not consumer._member.joined

    assert not any([await turn() for _ in range(4)])
    monkeypatch.setattr(behind, "getmany", Hung.getmany.__get__(behind))
    assert not await turn()
    behind.listener.on_partitions_assigned([behind.place, behind.other])
    assert [await turn() for _ in range(3)] == [False, False, True]
