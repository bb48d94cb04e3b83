"""One seeded world: servers, engines that die and are started again, a notifier, a workload, and the verdict."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from schemas.erasure import account_hash
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.signals import ERASED
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.plans.loader import plan_from_content
from services.activation_engine.plans.registry import RETIRED
from services.activation_engine.store import Commit
from tests.fakes.memory_store import MemoryStore
from tests.simulator.database import Database
from tests.simulator.engine import EngineParts, Servers
from tests.simulator.faults import Faults, Rates
from tests.simulator.group import Group
from tests.simulator.judge import Observer, Payloads, check_delivered, check_partition
from tests.simulator.log import Broker
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.notifier import Notifier
from tests.simulator.plans import MAIN_PLAN, SIDE_PLAN, text_of
from tests.simulator.troubles import DatabaseTroubles, Engines, keep_notifier
from tests.simulator.violation import Violation, require
from tests.simulator.workload import EVENTS, PARTS, SIGNALS, Sent, Workload

# Once faults have ended, everything is applied and delivered within this: liveness.
DRAIN_SECONDS_MAX = 120.0
_ENGINES = 3
# The workload waits for a while when more records than this are not applied.
_BACKLOG_MAX = 60
_PATIENCE_SECONDS = 10.0
_TICK_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much happens in one world."""

    bursts: int = 40
    accounts: int = 8
    publications: int = 4


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a world is made of; a planted bug replaces one of them."""

    engine: EngineParts = field(default_factory=EngineParts)
    store: type[MemoryStore] = MemoryStore
    notifier: type[Notifier] = Notifier


@dataclass(frozen=True)
class Report:
    """What happened in a world in which every promise held. `records_early` of the `records` were applied while
    faults lasted; `signals` are counted by type."""

    crashes: Counter[str]
    happened: Counter[str]
    records: int
    records_early: int
    signals: Counter[str]
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
        self._publish(MAIN_PLAN)
        self._begin()
        await self._feed()
        early = self._applied()
        await self._drain()
        self._judge()
        store, happened = self.store, self.faults.happened
        happened["came back"] = sum(account_hash(account_id) in store.tombstones for account_id in store.accounts)
        happened["plan ended"] = sum(one.policy == RETIRED for one in store.adopted)
        signals = Counter(row.type for rows in store.ledger.values() for row in rows)
        return Report(self.faults.crashes, happened, self._applied(), early, signals, self.loop.time())

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
                self._publish(self.dice.choice([MAIN_PLAN, SIDE_PLAN]))
            self._append(self.workload.burst())
            await asyncio.sleep(self.faults.seconds(0.3))
            await self._wait(lambda: self._backlog() <= _BACKLOG_MAX, seconds=_PATIENCE_SECONDS)

    async def _drain(self) -> None:
        """End all faults, and wait until everything is applied and delivered."""
        self.faults.active = self.database.away = False
        self.engines.spare()
        deadline = self.loop.time() + DRAIN_SECONDS_MAX
        while not self._settled():
            require(self.loop.time() < deadline, "not drained in time:", self.store.leases)
            # By the next transaction owners learn of a failover, and leases of what was published.
            self._append(self.workload.ticks())
            await self._wait(self._settled, seconds=_TICK_SECONDS)

    def _append(self, records: Iterable[Sent]) -> None:
        for sent in records:
            self.broker.append(EVENTS, sent.part, sent.key, sent.value, at_ms=sent.at_ms)

    async def _wait(self, until: Callable[[], bool], *, seconds: float) -> None:
        """Let the world go on until something holds, at most for so long."""
        patience = self.loop.time() + seconds
        while not until() and self.loop.time() < patience:
            await asyncio.sleep(0.2)
            if self.errors:
                raise self.errors[0]

    def _applied(self) -> int:
        return sum(lease.next_offset for lease in self.store.leases.values())

    def _backlog(self) -> int:
        return sum(map(len, self.broker.logs[EVENTS])) - self._applied()

    def _settled(self) -> bool:
        """All applied, by the newest versions, and every account looked at by them; everything recorded also delivered,
        and no signal left that names an erased account."""
        behind = [one for part in range(PARTS) for one in self._newest().items() if not self._adopted(part, *one)]
        sweeping = any(lease.sweep_after is not None for lease in self.store.leases.values())
        rows = [
            row for rows in self.store.ledger.values() for row in rows if row.payload is not None or row.type == ERASED
        ]
        named = any(row.type == ERASED and row.payload is not None for row in rows)
        delivered = {row.id for row in rows} <= self.notifier.tables.messages.keys()
        return delivered and not (self._backlog() or behind or sweeping or named)

    def _newest(self) -> dict[str, int]:
        return dict(sorted(self.store.versions))

    def _adopted(self, part: int, plan: str, version: int) -> bool:
        """Whether a partition judges by this version. One by which a plan ends is nothing to a partition that never
        had the plan."""
        known = self.store.adoptions.get((part, plan))
        return self.store.versions[plan, version][0] == RETIRED if known is None else known.version == version

    def _judge(self) -> None:
        if self.errors:
            raise self.errors[0]
        owed: Payloads = {}
        for part, log in enumerate(self.broker.logs[EVENTS]):
            owed |= check_partition(part, self.store, log, self._plan)
        failovers = bool(self.faults.happened["failover"])
        check_delivered(self.store, self.notifier.tables, owed, self.observer.lost, failovers=failovers)

    def _plan(self, plan: str, version: int) -> Plan:
        return plan_from_content(dict(self.store.versions[plan, version][1])).plan

    def _publish(self, plan: str) -> None:
        """The next version of a plan; the texts take turns. The side plan ends and begins again."""
        version = 1 + self._newest().get(plan, 0)
        ends = plan == SIDE_PLAN and version > 1 and self.store.versions[plan, version - 1][0] != RETIRED
        if ends and self.dice.random() < 0.6:
            self.store.versions[plan, version] = (RETIRED, {})
            return
        policy = self.dice.choice(["silent", "emit"])
        self.store.versions[plan, version] = (policy, text_of(plan, version - 1).content)

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


def run_world(seed: int, *, rates: Rates, scale: Scale | None = None, parts: Parts | None = None) -> Report:
    """Live through the world of a seed. Raises Violation, or whatever else nobody expected."""
    world = World(seed, rates=rates, scale=scale or Scale(), parts=parts or Parts())
    # The product's jitter is a throw of dice as well.
    random.seed(seed)
    return world.loop.run(world.run())
