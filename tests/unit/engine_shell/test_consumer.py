"""The consumer's loop against a group that misbehaves: it never ends by itself and never jumps over records."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from prometheus_client import CollectorRegistry

from services.activation_engine import consumer as loop
from services.activation_engine.commit_plan import Outward
from services.activation_engine.consumer import Consumer, Pace
from services.activation_engine.leases import Leases
from services.activation_engine.log_probe import Checked, LogUnreachable
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.plan_adoption import PlanCatalog
from services.activation_engine.relay import Relay
from services.activation_engine.store import Commit, Lease
from services.activation_engine.transactions import Transactions
from services.runtime import standstill
from services.runtime.process import Stopping
from services.runtime.producers import ProducerKeeper
from tests.fakes.engine_records import event_value
from tests.fakes.memory_store import MemoryStore


class Group:
    """A group with few partitions, whose logs begin at `begin` and have `end` records; `failures` are starts that fail
    and checks of the log that find no broker. Each poll of the first consumer fails for which `polls_fail` says so."""

    assigns = True

    def __init__(
        self,
        *,
        begin: int = 0,
        end: int = 3,
        starts_fail: int = 0,
        failure: type[Exception] = KafkaConnectionError,
        checks_fail: int = 0,
        polls_fail: Iterable[bool] = (),
        parts: int = 1,
    ) -> None:
        self.begin, self.end = begin, end
        self.places = [TopicPartition("events", part) for part in range(parts)]
        self.starts_fail, self.failure, self.checks_fail = starts_fail, failure, checks_fail
        self.polls_fail = iter(polls_fail)
        self.opened: list[Member] = []
        self.closing = asyncio.Event()

    def new_consumer(self) -> Member:
        self.opened.append(Member(self))
        return self.opened[-1]

    async def check(self, leases: Sequence[Lease]) -> dict[int, Checked]:
        expired = any(member.polled for member in self.opened)
        if expired and self.checks_fail:
            self.checks_fail -= 1
            raise LogUnreachable
        late = "records_expired" if expired and self.begin else None
        return {lease.part: Checked(lease.next_offset, late) for lease in leases}


class Member:
    """One consumer of the group; out of range it starts at the earliest record, as configured."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._positions = dict.fromkeys(group.places, 0)
        self._paused = set(group.places)
        self._listener: Any = None
        self._subscription = SimpleNamespace(reassignment_in_progress=not group.assigns)
        self.polled = False
        self.stopped = False

    def subscribe(self, topics: list[str], *, listener: Any) -> None:
        self._listener = listener
        if self._group.assigns:
            self.tell_assigned()

    def tell_assigned(self) -> None:
        self._listener.on_partitions_assigned(self._group.places)

    async def start(self) -> None:
        if self._group.starts_fail:
            self._group.starts_fail -= 1
            raise self._group.failure
        if self._listener is not None:
            # As the library does while others of the group are slow to join.
            await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True
        self._group.closing.set()
        # So that a commit that waited for this ends meanwhile.
        for _ in range(20):
            await asyncio.sleep(0)

    def assignment(self) -> set[TopicPartition]:
        return set(self._group.places)

    def pause(self, *places: TopicPartition) -> None:
        self._paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self._paused.difference_update(places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._positions[place] = offset

    def highwater(self, place: TopicPartition) -> int:
        return self._group.end

    async def getmany(self, *, timeout_ms: int, max_records: int | None) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        if self is self._group.opened[0] and next(self._group.polls_fail, False):
            raise KafkaError("Unexpected error during coordination")
        found = {}
        for place, position in self._positions.items():
            first = max(position, self._group.begin)
            if place not in self._paused and first < self._group.end:
                self.polled = True
                self._positions[place] = self._group.end
                found[place] = [_record(place.partition, offset) for offset in range(first, self._group.end)]
        return found


def _record(part: int, offset: int) -> Any:
    account = f"acme-{part}"
    value = event_value(account, "Opened", f"m{offset}", at_ms=1_000)
    return SimpleNamespace(offset=offset, timestamp=1_000, key=account.encode(), value=value)


class Watched(Transactions):
    """Notes whether batches overlapped, and lets none of them share a partition."""

    under_way: frozenset[int] = frozenset()
    overlapped = False

    async def apply(self, taken: Mapping[int, Sequence[Any]], redelivered: Mapping[int, int]) -> dict[int, int]:
        assert not self.under_way & taken.keys()
        self.overlapped |= bool(self.under_way)
        self.under_way |= taken.keys()
        try:
            return await super().apply(taken, redelivered)
        finally:
            self.under_way -= taken.keys()


async def consume(
    group: Group,
    store: MemoryStore,
    until: Callable[[Leases], bool],
    *,
    batch_events_max: int = 10,
    each_turn: Callable[[Consumer], None] = lambda _: None,
) -> tuple[Leases, Watched]:
    """Run a consumer until that holds."""
    await store.create_leases(len(group.places), source="events")
    metrics = EngineMetrics(CollectorRegistry())
    keeper = ProducerKeeper(make=lambda: None, topics=())
    relay = Relay(store=store, keeper=keeper, topic="signals", metrics=metrics, rows_max=10)
    catalog, probe = PlanCatalog(store), cast(Any, group)
    leases = Leases(
        store=store,
        probe=probe,
        catalog=catalog,
        relay=relay,
        metrics=metrics,
        owner="me",
        heartbeat_seconds=0,
        accounts_cached_max=100,
    )
    transactions = Watched(
        store=store,
        leases=leases,
        catalog=catalog,
        relay=relay,
        metrics=metrics,
        outward=Outward(),
        due_accounts_max=10,
    )
    consumer = Consumer(
        new_consumer=group.new_consumer,
        topic="events",
        leases=leases,
        probe=probe,
        transactions=transactions,
        relay=relay,
        metrics=metrics,
        pace=Pace(
            batch_events_max=batch_events_max,
            poll_wait_ms=1,
            unpublished_signals_max=10,
            rebalance_timeout_seconds=1,
        ),
    )
    stopping = Stopping()

    def beat() -> None:
        each_turn(consumer)
        if until(leases):
            stopping.request()

    async with asyncio.timeout(10):
        await consumer.run(stopping, beat=beat)
    return leases, transactions


@pytest.mark.parametrize("failure", [KafkaConnectionError, TimeoutError, OSError])
async def test_a_broker_that_is_away_when_the_consumer_starts_is_waited_for(failure: type[Exception]) -> None:
    """What failed to start is stopped, and another one is made."""
    group, store = Group(starts_fail=1, failure=failure), MemoryStore()
    await consume(group, store, lambda _: bool(store.leases) and store.leases[0].next_offset == 3)
    assert [member.stopped for member in group.opened] == [True, False]


async def test_records_that_expired_are_never_jumped_over() -> None:
    """Not even when the broker was away at the first look at the log: the partition stops where it was."""
    group, store = Group(begin=2, checks_fail=1), MemoryStore()
    leases, _ = await consume(group, store, lambda leases: bool(leases.stopped) or store.leases[0].next_offset > 0)
    assert leases.stopped == {0: "records_expired"}
    assert store.leases[0].next_offset == 0
    assert store.accounts == {}


async def test_batches_of_different_partitions_overlap_and_those_of_one_never_do() -> None:
    """Each partition's records are applied in order, a batch at a time."""
    group, store = Group(end=20, parts=4), MemoryStore()

    def applied(_: Leases) -> bool:
        return bool(store.leases) and all(lease.next_offset == 20 for lease in store.leases.values())

    _, transactions = await consume(group, store, applied, batch_events_max=6)
    assert transactions.overlapped
    assert set(store.accounts) == {f"acme-{part}" for part in range(4)}


class SlowStore(MemoryStore):
    """Its first commit of accounts ends only while the consumer is being closed."""

    def __init__(self, closing: asyncio.Event) -> None:
        super().__init__()
        self.closing = closing

    async def commit(self, commit: Commit) -> None:
        if commit.accounts:
            await self.closing.wait()
        await super().commit(commit)


async def test_a_consumer_is_replaced_while_a_batch_is_under_way() -> None:
    """What ends while the old one is closed has nothing to ask of it, and its records are applied all the same."""
    group = Group(end=20, parts=4)
    store = SlowStore(group.closing)

    def replace(consumer: Consumer) -> None:
        if len(group.opened) == 1 and group.opened[0].polled:
            consumer.rebuild()

    def applied(_: Leases) -> bool:
        return bool(store.leases) and all(lease.next_offset == 20 for lease in store.leases.values())

    await consume(group, store, applied, batch_events_max=6, each_turn=replace)
    assert [member.stopped for member in group.opened] == [True, False]


async def test_what_a_client_tells_while_it_is_given_up_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have its partitions by now, and would lose them for a moment."""
    group, store = Group(), MemoryStore()
    revoke = Leases.revoke

    async def revoke_and_hear(leases: Leases, *, within_seconds: float) -> None:
        await revoke(leases, within_seconds=within_seconds)
        if group.opened:
            # The group went on while a batch under way was waited for.
            group.assigns = False
            group.opened[0].tell_assigned()

    def replace(consumer: Consumer) -> None:
        if len(group.opened) == 1 and group.opened[0].polled:
            consumer.rebuild()

    monkeypatch.setattr(Leases, "revoke", revoke_and_hear)
    leases, _ = await consume(group, store, lambda _: len(group.opened) == 2, each_turn=replace)
    assert (leases.claimable(), leases.held) == ([], {})


async def test_a_consumer_whose_rebalance_never_ends_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No partition is held in it, so that the watchdog has nothing to watch."""
    monkeypatch.setattr(standstill, "REBALANCE_SECONDS", 0)
    monkeypatch.setattr(standstill, "_LOOK_SECONDS", 0)
    group, store = Group(), MemoryStore()
    group.assigns = False

    def assign_to_the_next(_: Consumer) -> None:
        group.assigns = bool(group.opened)

    await consume(group, store, lambda _: store.leases[0].next_offset == 3, each_turn=assign_to_the_next)
    assert [member.stopped for member in group.opened] == [True, False]


@pytest.mark.parametrize(
    ("polls_fail", "consumers"),
    [(itertools.repeat(True), 2), (itertools.chain([False] * 5, itertools.repeat(True)), 2), ([True, False] * 50, 1)],
)
async def test_a_consumer_that_fails_at_every_poll_is_replaced(
    monkeypatch: pytest.MonkeyPatch, polls_fail: Iterable[bool], consumers: int
) -> None:
    """Once one of the client's own tasks has ended, it raises for ever. An error now and then replaces nothing."""
    group, store, turns = Group(polls_fail=polls_fail), MemoryStore(), itertools.count()
    monkeypatch.setattr(loop, "_FAILING_SECONDS_MAX", 0.02)
    monkeypatch.setattr(loop, "_ERROR_PAUSE_SECONDS", 0.001)
    await consume(group, store, lambda _: next(turns) == 200)
    assert len(group.opened) == consumers
    assert store.leases[0].next_offset == 3
