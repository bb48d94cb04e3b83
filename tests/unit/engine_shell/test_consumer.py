"""The consumer's loop against a group that misbehaves: it never ends by itself and never jumps over records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from services.activation_engine.commit_plan import Outward
from services.activation_engine.consumer import Consumer, Pace
from services.activation_engine.leases import Leases
from services.activation_engine.log_probe import Checked, LogUnreachable
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.plan_adoption import PlanCatalog
from services.activation_engine.relay import Relay
from services.activation_engine.store import Lease
from services.activation_engine.transactions import Transactions
from services.runtime.process import Stopping
from tests.fakes.engine_records import event_value
from tests.fakes.memory_store import MemoryStore

PLACE = TopicPartition("events", 0)


class Group:
    """A group with one partition, whose log begins at `begin` and has `end` records; `failures` are starts that fail
    and checks of the log that find no broker."""

    def __init__(self, *, begin: int = 0, end: int = 3, starts_fail: int = 0, checks_fail: int = 0) -> None:
        self.begin, self.end = begin, end
        self.starts_fail, self.checks_fail = starts_fail, checks_fail
        self.opened: list[Member] = []

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
        self._position = 0
        self._paused = True
        self._listener: Any = None
        self.polled = False
        self.stopped = False

    def subscribe(self, topics: list[str], *, listener: Any) -> None:
        self._listener = listener
        listener.on_partitions_assigned([PLACE])

    async def start(self) -> None:
        if self._group.starts_fail:
            self._group.starts_fail -= 1
            raise KafkaConnectionError
        if self._listener is not None:
            # As the library does while others of the group are slow to join.
            await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    def pause(self, *places: TopicPartition) -> None:
        self._paused = self._paused or PLACE in places

    def resume(self, *places: TopicPartition) -> None:
        self._paused = self._paused and PLACE not in places

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._position = offset

    def highwater(self, place: TopicPartition) -> int:
        return self._group.end

    async def getmany(self, *, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        first = max(self._position, self._group.begin)
        if self._paused or first >= self._group.end:
            return {}
        self.polled = True
        self._position = self._group.end
        return {PLACE: [_record(offset) for offset in range(first, self._group.end)]}


def _record(offset: int) -> Any:
    value = event_value("acme", "Opened", f"m{offset}", at_ms=1_000)
    return SimpleNamespace(offset=offset, timestamp=1_000, key=b"acme", value=value)


async def consume(group: Group, store: MemoryStore, until: Callable[[Leases], bool]) -> Leases:
    """Run a consumer until that holds."""
    await store.create_leases(1, source="events")
    metrics = EngineMetrics(CollectorRegistry())
    relay = Relay(store=store, new_producer=lambda: None, topic="signals", metrics=metrics, rows_max=10)
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
    transactions = Transactions(
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
        pace=Pace(batch_events_max=10, poll_wait_ms=1, unpublished_signals_max=10, rebalance_timeout_seconds=1),
    )
    stopping = Stopping()

    def beat() -> None:
        if until(leases):
            stopping.request()

    async with asyncio.timeout(10):
        await consumer.run(stopping, beat=beat)
    return leases


async def test_a_broker_that_is_away_when_the_consumer_starts_is_waited_for() -> None:
    """What failed to start is stopped, and another one is made."""
    group, store = Group(starts_fail=1), MemoryStore()
    await consume(group, store, lambda _: bool(store.leases) and store.leases[0].next_offset == 3)
    assert [member.stopped for member in group.opened] == [True, False]


async def test_records_that_expired_are_never_jumped_over() -> None:
    """Not even when the broker was away at the first look at the log: the partition stops where it was."""
    group, store = Group(begin=2, checks_fail=1), MemoryStore()
    leases = await consume(group, store, lambda leases: bool(leases.stopped) or store.leases[0].next_offset > 0)
    assert leases.stopped == {0: "records_expired"}
    assert store.leases[0].next_offset == 0
    assert store.accounts == {}
