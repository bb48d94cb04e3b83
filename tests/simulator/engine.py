"""One engine process: the product's own parts, wired as its composition root does, to simulated servers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.activation_engine.commit_plan import Outward
from services.activation_engine.consumer import Consumer, Pace
from services.activation_engine.leases import Leases
from services.activation_engine.log_probe import LogProbe, LogUnreachable
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.plan_adoption import PlanCatalog
from services.activation_engine.relay import Relay
from services.activation_engine.store import StoreUnavailable
from services.activation_engine.transactions import Transactions
from services.runtime.process import Stopping, run_workers
from services.runtime.producers import ProducerKeeper
from tests.simulator.database import Database, Link
from tests.simulator.group import REBALANCE_SECONDS, SESSION_SECONDS, Group, Member
from tests.simulator.log import Broker, Producer, Reader
from tests.simulator.loop import Process
from tests.simulator.workload import EVENTS, SIGNALS

_DRAIN_SECONDS = 2.0
_WAIT_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Servers:
    """What an engine finds around it."""

    database: Database
    broker: Broker
    group: Group
    parts: int
    metrics: EngineMetrics
    dice: random.Random


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """An engine's limits; small ones make rare things common."""

    batch_events_max: int
    accounts_cached_max: int
    due_accounts_max: int
    unpublished_signals_max: int
    relay_rows_max: int

    @classmethod
    def thrown(cls, dice: random.Random) -> Bounds:
        """Any."""
        return cls(
            batch_events_max=dice.choice([3, 10, 50, 200]),
            accounts_cached_max=dice.choice([2, 10, 1_000]),
            due_accounts_max=dice.choice([1, 3, 100]),
            unpublished_signals_max=dice.choice([3, 1_000]),
            relay_rows_max=dice.choice([2, 8, 100]),
        )


@dataclass(frozen=True, kw_only=True)
class EngineParts:
    """The classes that an engine is made of; a planted bug replaces one of them."""

    link: Callable[[Database, Process], Any] = Link
    leases: type[Leases] = Leases
    relay: type[Relay] = Relay


class SimulatedEngine:
    """One life of an engine."""

    def __init__(self, servers: Servers, process: Process, parts: EngineParts) -> None:
        self.servers = servers
        self.stopping = Stopping()
        self.bounds = Bounds.thrown(servers.dice)
        self._process = process
        self._store = parts.link(servers.database, process)
        self._catalog = PlanCatalog(self._store)
        self._probe = LogProbe(lambda: Reader(servers.broker, process), topic=EVENTS)
        self._relay = parts.relay(
            store=self._store,
            keeper=ProducerKeeper(make=lambda: Producer(servers.broker, process), topics=()),
            topic=SIGNALS,
            metrics=servers.metrics,
            rows_max=self.bounds.relay_rows_max,
        )
        self._leases = parts.leases(
            store=self._store,
            probe=self._probe,
            catalog=self._catalog,
            relay=self._relay,
            metrics=servers.metrics,
            owner=process.name,
            heartbeat_seconds=SESSION_SECONDS / 4,
            accounts_cached_max=self.bounds.accounts_cached_max,
            new_stamp=lambda: UUID(int=servers.dice.getrandbits(128)),
        )
        self._transactions = Transactions(
            store=self._store,
            leases=self._leases,
            catalog=self._catalog,
            relay=self._relay,
            metrics=servers.metrics,
            outward=Outward(),
            due_accounts_max=self.bounds.due_accounts_max,
        )
        self._consumer = self._new_consumer()

    def _new_consumer(self) -> Consumer:
        servers = self.servers
        return Consumer(
            new_consumer=lambda: Member(servers.broker, self._process, servers.group),
            topic=EVENTS,
            leases=self._leases,
            probe=self._probe,
            transactions=self._transactions,
            relay=self._relay,
            metrics=servers.metrics,
            pace=Pace(
                batch_events_max=self.bounds.batch_events_max,
                poll_wait_ms=100,
                unpublished_signals_max=self.bounds.unpublished_signals_max,
                rebalance_timeout_seconds=REBALANCE_SECONDS,
            ),
        )

    async def run(self) -> None:
        """Until asked to stop; an error that no part expects ends it with WorkerFailed."""
        while not await self._prepared():
            await self.stopping.sleep(_WAIT_SECONDS)
        await run_workers(
            {
                "relay": self._relay.run,
                "consumer": lambda: self._consumer.run(self.stopping, beat=lambda: None),
                "plans": lambda: self._catalog.watch(self.stopping, poll_seconds=1.0),
                "offsets": lambda: self._consumer.commit_offsets(self.stopping, every_seconds=1.0),
            },
            stopping=self.stopping,
            drain=self._drain,
            drain_seconds=_DRAIN_SECONDS,
        )

    async def _prepared(self) -> bool:
        try:
            await self._store.create_leases(self.servers.parts, source=EVENTS)
            await self._catalog.refresh()
            await self._probe.start()
        except (StoreUnavailable, LogUnreachable):
            return False
        return True

    async def _drain(self) -> None:
        await self._consumer.ended.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS / 2):
                await self._relay.flush()
        await self._transactions.save_progress()
        await self._consumer.close()
