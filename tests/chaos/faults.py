"""What a chaos run does to services and servers: each fault once in a seeded order, or at random without end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import asyncpg
import psutil

from deploy.local.data_folder import DataFolder
from tests.chaos.bugs import STOP_IN_COMMIT
from tests.chaos.disaster import Backup
from tests.chaos.observer import Observer
from tests.chaos.product import Ledger
from tests.fakes.private_servers import frozen, pid_of
from tests.running_system import RunningSystem
from tests.waiting import until

# Longer than the sessions of RunningSystem's consumers: the group goes on without the member, which wakes up a zombie.
_PAST_SESSION_SECONDS = 8.0
# So many signals are delivered between a backup and the loss.
_AFTER_BACKUP = 20
# So many records an heir applies, or acknowledgements are given, while something is stopped: more than one batch.
_MEANWHILE = 100
_BACKEND = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'firstvalue-%' ORDER BY random() LIMIT 1"

Fault = Callable[[], Awaitable[None]]


class Faults:
    """Named faults of one system and its servers: `all` for any run, `provoking` for those with planted bugs."""

    def __init__(self, system: RunningSystem, servers: DataFolder, observer: Observer, ledger: Ledger) -> None:
        self._system = system
        self._servers = servers
        self._observer = observer
        self._ledger = ledger
        self.all: dict[str, Fault] = {
            **{f"kill {name}": self._kill(name) for name in system.services},
            **{f"pause {name}": self._pause(name) for name in system.services if name != "ingest"},
            "pause ingest": self._pause("ingest", seconds=1.5),
            **{f"restart {name}": self._restart(name) for name in ("ingest2", "engine", "notifier2")},
            "kill broker": self._end_server("kafka", signal.SIGKILL),
            "restart broker": self._end_server("kafka", signal.SIGTERM),
            "freeze broker": self._freeze("kafka"),
            "freeze database": self._freeze("postgres"),
            "kill database": self._kill_backend,
            "restart database": self._end_server("postgres", signal.SIGINT),
            "restore database": self._restore_database,
        }
        self.provoking: dict[str, Fault] = {
            "stop engine in its commit": self._stop_engine_in_commit,
            "kill ingests that wait for the broker": self._kill_waiting_ingests,
        }

    def once_each(self, seed: int) -> Iterator[str]:
        """Every fault, in an order that the seed decides."""
        names = sorted(self.all)
        random.Random(seed).shuffle(names)
        return iter(names)

    def at_random(self, seed: int) -> Iterator[str]:
        """Faults without end."""
        chance = random.Random(seed)
        while True:
            yield chance.choice(sorted(self.all))

    def _kill(self, name: str) -> Fault:
        async def kill() -> None:
            service = self._system.services[name]
            service.kill()
            await asyncio.sleep(0.5)
            service.start()

        return kill

    def _restart(self, name: str) -> Fault:
        async def restart() -> None:
            service = self._system.services[name]
            await asyncio.to_thread(service.stop)
            service.start()

        return restart

    def _pause(self, name: str, *, seconds: float = _PAST_SESSION_SECONDS) -> Fault:
        async def pause() -> None:
            service = self._system.services[name]
            service.send(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            service.send(signal.SIGCONT)

        return pause

    def _end_server(self, name: str, number: signal.Signals) -> Fault:
        async def end() -> None:
            before = pid_of(self._servers, name)
            os.kill(before, number)
            # Its supervisor starts it again.
            while True:
                with suppress(StopIteration):
                    if pid_of(self._servers, name) != before:
                        return
                await asyncio.sleep(0.1)

        return end

    def _freeze(self, name: str) -> Fault:
        async def freeze() -> None:
            with frozen(pid_of(self._servers, name)):
                await asyncio.sleep(_PAST_SESSION_SECONDS)

        return freeze

    async def _kill_backend(self) -> None:
        """One killed connection makes the server drop all others and recover from its log."""
        with suppress(OSError, asyncpg.PostgresError):
            for row in await self._system.query(_BACKEND):
                os.kill(int(row["pid"]), signal.SIGKILL)

    async def _restore_database(self) -> None:
        """Lost some time after the backup, and restored as docs/operations.md says."""
        backup = Backup(self._system)
        await backup.make()
        since = await self._delivered()
        await until(lambda: self._have_delivered(since + _AFTER_BACKUP), timeout_seconds=60)
        async with self._observer.looking_away():
            await backup.restore_after_disaster()

    async def _delivered(self) -> int:
        rows = await self._system.query("SELECT count(*) FROM notifier.delivery WHERE status = 'succeeded'")
        return int(rows[0][0])

    async def _have_delivered(self, count: int) -> bool:
        return await self._delivered() >= count

    async def _stop_engine_in_commit(self) -> None:
        """It goes on when another has applied what it was about to commit, and more."""
        engine = self._system.services["engine"]
        assert engine.process is not None
        process = psutil.Process(engine.process.pid)
        engine.send(STOP_IN_COMMIT)

        async def stopped() -> bool:
            return process.status() == psutil.STATUS_STOPPED

        await until(stopped, timeout_seconds=60)
        before = await self._applied()

        async def all_beyond() -> bool:
            now = await self._applied()
            return all(now[part] >= offset + _MEANWHILE for part, offset in before.items())

        await until(all_beyond, timeout_seconds=60)
        engine.send(signal.SIGCONT)

    async def _kill_waiting_ingests(self) -> None:
        """While the broker writes nothing and events are acknowledged all the same."""
        ingests = [service for service in self._system.services.values() if service.kind == "ingest"]
        with frozen(pid_of(self._servers, "kafka")):
            enough = self._acknowledged() + _MEANWHILE

            async def acknowledged() -> bool:
                return self._acknowledged() >= enough

            await until(acknowledged, timeout_seconds=60)
            for service in ingests:
                service.kill()
        for service in ingests:
            service.start()

    async def _applied(self) -> dict[int, int]:
        rows = await self._system.query("SELECT part, next_offset FROM activation.partition_lease")
        return {row["part"]: row["next_offset"] for row in rows}

    def _acknowledged(self) -> int:
        return sum(sent.acked for sent in self._ledger.sent.values())
