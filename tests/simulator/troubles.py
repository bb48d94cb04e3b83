"""What befalls processes and database while faults last: deaths, pauses, requests to stop, outages, failovers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.simulator.database import Database
from tests.simulator.engine import EngineParts, Servers, SimulatedEngine
from tests.simulator.faults import PLACES
from tests.simulator.group import SESSION_SECONDS
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.notifier import Notifier

_OUTAGE_SECONDS = 1.0
_RESTART_SECONDS = 0.1


class Engines:
    """Places for engines: whenever one has ended, the next life begins in its place. `errors` are what ended a process
    and nobody expected."""

    def __init__(self, servers: Servers, parts: EngineParts, errors: list[BaseException]) -> None:
        self._servers = servers
        self._parts = parts
        self._errors = errors
        self._lives = 0
        self.running: dict[Process, SimulatedEngine] = {}

    async def keep(self) -> None:
        """Worker of the world: one engine after the other."""
        faults = self._servers.broker.faults
        while True:
            self._lives += 1
            process, ended = Process(f"engine-{self._lives}"), asyncio.Event()
            self._foretell(process)
            process.on_death = self._mourner(ended)
            self.running[process] = engine = SimulatedEngine(self._servers, process, self._parts)
            self._servers.broker.loop.spawn(process, self._live(engine, ended))
            await ended.wait()
            del self.running[process]
            await asyncio.sleep(faults.seconds(_RESTART_SECONDS))

    def spare(self) -> None:
        """From now on nobody dies, and who was paused goes on."""
        for process in self.running:
            process.fuse, process.doom = None, ""
            self._servers.broker.loop.resume(process)

    async def pause(self) -> None:
        """SIGSTOP, often for longer than a session lasts, and SIGCONT: what wakes up may own nothing any more."""
        faults = self._servers.broker.faults
        if self.running:
            process = faults.dice.choice(list(self.running))
            process.paused = True
            faults.happened["paused"] += 1
            await asyncio.sleep(faults.seconds(1.5 * SESSION_SECONDS))
            self._servers.broker.loop.resume(process)

    async def stop(self) -> None:
        """SIGTERM."""
        faults = self._servers.broker.faults
        if self.running:
            faults.happened["stopped"] += 1
            faults.dice.choice(list(self.running.values())).stopping.request()

    async def _live(self, engine: SimulatedEngine, ended: asyncio.Event) -> None:
        try:
            await engine.run()
        except Exception as error:  # noqa: BLE001  # the judge tells what nobody expected
            self._errors.append(error)
        ended.set()

    def _foretell(self, process: Process) -> None:
        """Decide how this life ends: at a place of the protocol, after some steps, or not."""
        faults = self._servers.broker.faults
        dice, rates = faults.dice, faults.rates
        if faults.active:
            if dice.random() < rates.doomed:
                process.doom, process.spared = dice.choice(PLACES), dice.choice([0, 0, 1, 3])
            steps = rates.life_steps * (10 if dice.random() < rates.long_lives else 1)
            process.fuse = 1 + int(dice.expovariate(1 / steps))

    def _mourner(self, ended: asyncio.Event) -> Callable[[Process], None]:
        def died(process: Process) -> None:
            self._servers.broker.faults.crashes[process.at] += 1
            self._servers.broker.loop.outside(0, ended.set)

        return died


async def keep_notifier(loop: VirtualLoop, notifier: Notifier) -> None:
    """Worker of the world: kill the notifier now and then, and start it again."""
    faults = notifier.broker.faults
    while True:
        process = Process("notifier")
        loop.spawn(process, notifier.run(process))
        await asyncio.sleep(faults.seconds(faults.rates.notifier_deaths_seconds))
        if not faults.active:
            return
        process.kill()
        faults.happened["notifier killed"] += 1


class DatabaseTroubles:
    """Of the one database that engines and notifier share."""

    def __init__(self, database: Database, notifier: Notifier) -> None:
        self._database = database
        self._notifier = notifier
        self._faults = database.faults

    async def outage(self) -> None:
        """Nobody answers for a while."""
        self._database.away = True
        self._faults.happened["outage"] += 1
        await asyncio.sleep(self._faults.seconds(_OUTAGE_SECONDS))
        self._database.away = False

    async def fail_over(self) -> None:
        """The standby stops receiving, and a moment later it is the primary; often it has the notifier's tables too."""
        self._database.lag()
        tables = self._notifier.tables.copy()
        await asyncio.sleep(self._faults.seconds(self._faults.rates.standby_lag_seconds))
        self._database.fail_over()
        if self._faults.dice.random() < 0.5:
            self._notifier.tables.rewind(tables)
