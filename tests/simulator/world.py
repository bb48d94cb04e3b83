"""One seeded world: servers, engines that die and are started again, a notifier, a workload, and the verdict."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry

from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.plans.loader import CheckedPlan, load_plan
from services.activation_engine.store import Commit
from tests.fakes.memory_store import MemoryStore
from tests.simulator.database import Database
from tests.simulator.engine import EngineParts, Servers
from tests.simulator.faults import Faults, Rates
from tests.simulator.group import Group
from tests.simulator.judge import Observer, Violation, check_delivered, check_partition, require
from tests.simulator.log import Broker
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.notifier import Notifier
from tests.simulator.troubles import DatabaseTroubles, Engines, keep_notifier
from tests.simulator.workload import EVENTS, PARTS, PLAN_ID, SIGNALS, VERSIONS, Workload

# Once faults have ended, everything is applied and delivered within this: liveness.
DRAIN_SECONDS_MAX = 120.0
_ENGINES = 3
# The workload waits for a while when more records than this are not applied.
_BACKLOG_MAX = 60
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much happens in one world."""

    bursts: int = 40
    accounts: int = 8
    publications: int = 2


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a world is made of; a planted bug replaces one of them."""

    engine: EngineParts = field(default_factory=EngineParts)
    store: type[MemoryStore] = MemoryStore
    notifier: type[Notifier] = Notifier


@dataclass(frozen=True)
class Report:
    """What happened in a world in which every promise held. `records_early` of the `records` were applied while
    faults lasted."""

    crashes: Counter[str]
    happened: Counter[str]
    records: int
    records_early: int
    signals: int
    seconds: float


class World:
    """Everything that one seed decides."""

    def __init__(self, seed: int, *, rates: Rates, scale: Scale, parts: Parts) -> None:
        self.dice = random.Random(seed)
        self.loop = VirtualLoop(self.dice)
        self.faults = Faults(self.dice, rates)
        self.scale = scale
        self.store = parts.store()
        self.database = Database(self.loop, self.faults, self.store)
        self.broker = Broker(self.loop, self.faults, topics=(EVENTS, SIGNALS), parts=PARTS)
        self.group = Group(self.broker, topic=EVENTS, parts=PARTS)
        self.notifier = parts.notifier(self.broker, topic=SIGNALS, parts=PARTS)
        self.observer = Observer(self.store)
        self.workload = Workload(self.dice, accounts=scale.accounts)
        self.errors: list[BaseException] = []
        self.engines = Engines(self._servers(), parts.engine, self.errors)
        self.database.watch.append(self._watch)
        self.database.rewound.append(self.observer.rewound)

    def _servers(self) -> Servers:
        return Servers(
            database=self.database,
            broker=self.broker,
            group=self.group,
            parts=PARTS,
            metrics=EngineMetrics(CollectorRegistry()),
            dice=self.dice,
        )

    async def run(self) -> Report:
        """Live through it. Raises Violation, or whatever else nobody expected."""
        await self.store.create_leases(PARTS, source=EVENTS)
        self._publish()
        self._begin()
        await self._feed()
        early = self._applied()
        await self._drain()
        self._judge()
        happened = self.faults.crashes, self.faults.happened
        return Report(*happened, self._applied(), early, len(self.notifier.tables.messages), self.loop.time())

    def _begin(self) -> None:
        """Start everybody, and everything that may befall them."""
        rates, database = self.faults.rates, DatabaseTroubles(self.database, self.notifier)
        self._spawn(self.group.coordinate())
        self._spawn(keep_notifier(self.loop, self.notifier))
        for _ in range(_ENGINES):
            self._spawn(self.engines.keep())
        self._spawn(self._repeat(rates.pauses_seconds, self.engines.pause))
        self._spawn(self._repeat(rates.stops_seconds, self.engines.stop))
        self._spawn(self._repeat(rates.outages_seconds, database.outage))
        self._spawn(self._repeat(rates.failovers_seconds, database.fail_over))

    async def _feed(self) -> None:
        """Append the workload, not much faster than it is applied; publish plan versions on the way."""
        publish_at = self.dice.sample(range(self.scale.bursts), self.scale.publications)
        for number in range(self.scale.bursts):
            if number in publish_at:
                self._publish()
            for sent in self.workload.burst():
                self.broker.append(EVENTS, sent.part, sent.key, sent.value, at_ms=sent.at_ms)
            await asyncio.sleep(self.faults.seconds(0.3))
            patience = self.loop.time() + _PATIENCE_SECONDS
            while self._backlog() > _BACKLOG_MAX and self.loop.time() < patience:
                await self._look()

    async def _drain(self) -> None:
        """End all faults, and wait until everything is applied and delivered."""
        self.faults.active = self.database.away = False
        self.engines.spare()
        deadline = self.loop.time() + DRAIN_SECONDS_MAX
        for _ in range(3):
            for sent in self.workload.ticks():
                self.broker.append(EVENTS, sent.part, sent.key, sent.value, at_ms=sent.at_ms)
            await asyncio.sleep(1)
        while not self._settled():
            require(self.loop.time() < deadline, "not drained in time:", self.store.leases)
            await self._look()

    async def _look(self) -> None:
        await asyncio.sleep(0.2)
        if self.errors:
            raise self.errors[0]

    def _applied(self) -> int:
        return sum(lease.next_offset for lease in self.store.leases.values())

    def _backlog(self) -> int:
        return sum(map(len, self.broker.logs[EVENTS])) - self._applied()

    def _settled(self) -> bool:
        """Applied to the end, the newest version adopted, everything recorded also delivered."""
        adopted = {self.store.adoptions[part, PLAN_ID].version for part in range(PARTS) if self._backlog() == 0}
        recorded = {row.id for rows in self.store.ledger.values() for row in rows}
        return adopted == {len(self.store.versions)} and recorded <= self.notifier.tables.messages.keys()

    def _judge(self) -> None:
        if self.errors:
            raise self.errors[0]
        for part, log in enumerate(self.broker.logs[EVENTS]):
            check_partition(part, self.store, log, lambda _, version: checked(version).plan)
        failovers = bool(self.faults.happened["failover"])
        check_delivered(self.store, self.notifier.tables, self.observer.lost, failovers=failovers)

    def _publish(self) -> None:
        """The next version of the plan; the texts take turns."""
        version = 1 + len(self.store.versions)
        self.store.versions[PLAN_ID, version] = (self.dice.choice(["silent", "emit"]), checked(version).content)

    async def _repeat(self, mean_seconds: float, trouble: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while mean_seconds and self.faults.active:
            await asyncio.sleep(self.faults.seconds(mean_seconds))
            if self.faults.active:
                await trouble()

    def _spawn(self, worker: Coroutine[Any, Any, None]) -> None:
        self.loop.spawn(Process("world"), worker)

    def _watch(self, commit: Commit) -> None:
        try:
            self.observer.committed(commit)
        except Violation as violation:
            self.errors.append(violation)


@cache
def checked(version: int) -> CheckedPlan:
    """A version of the workload's plan, compiled once."""
    return load_plan(VERSIONS[(version - 1) % len(VERSIONS)])


def run_world(seed: int, *, rates: Rates, scale: Scale | None = None, parts: Parts | None = None) -> Report:
    """Live through the world of a seed. Raises Violation, or whatever else nobody expected."""
    world = World(seed, rates=rates, scale=scale or Scale(), parts=parts or Parts())
    # The product's jitter is a throw of dice as well.
    random.seed(seed)
    return world.loop.run(world.run())
