"""Engines under load, and what they cost: events a second, processor time by phase, latency, memory."""

from __future__ import annotations

import asyncio
import secrets
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import psutil

from tests.bench.engine_load import LogFiller, Sample, uniform
from tests.fakes.engine_process import EngineProcess
from tests.fakes.engine_room import EngineRoom
from tests.waiting import until

PHASES = ("decode", "load", "fold", "encode", "commit")
_LATENCY_SECONDS = 6.0
_READS = 1_000
_ADMIN_KEY = "fv_bench_example_key"


@dataclass
class Measured:
    """Medians are taken over the runs of one load. `dirty_per_event` are account rows written."""

    events_per_s: list[float] = field(default_factory=list)
    cpu_us_per_event: list[float] = field(default_factory=list)
    dirty_per_event: list[float] = field(default_factory=list)
    phase_us_per_event: dict[str, list[float]] = field(default_factory=lambda: {phase: [] for phase in PHASES})

    def rows(self, name: str) -> dict[str, list[float]]:
        """The figures of a load by their names."""
        return {
            f"{name}_events_per_s": self.events_per_s,
            "cpu_us_per_event": self.cpu_us_per_event,
            "dirty_accounts_per_event": self.dirty_per_event,
            **{f"{phase}_cpu_us_per_event": values for phase, values in self.phase_us_per_event.items()},
        }


class Bench:
    """Engines of one group, stopped (SIGSTOP) while the log is filled, so that the load costs nothing while it is
    measured; their memory stays as it was."""

    def __init__(self, room: EngineRoom, filler: LogFiller) -> None:
        self.room = room
        self.filler = filler
        self._engines: list[EngineProcess] = []
        self._metrics_urls: list[str] = []

    async def start(self, engines: int = 1) -> float:
        """Start them; the seconds until they own all partitions."""
        started = time.perf_counter()
        # They are stopped for seconds at a time, and must not be expelled for that.
        settings = {"FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS": "60", "FIRSTVALUE_ADMIN_KEY": _ADMIN_KEY}
        group = secrets.token_hex(4)
        self._engines = [self.room.start(group=group, **settings) for _ in range(engines)]
        self._metrics_urls = [await asyncio.to_thread(one.metrics_url) for one in self._engines]

        async def own_all() -> bool:
            owned = [one.get("firstvalue_engine_assigned_partitions", 0) for one in await self._metrics()]
            return sum(owned) == self.room.parts and min(owned) >= self.room.parts // engines

        await until(own_all, timeout_seconds=90, what="all partitions claimed")
        return time.perf_counter() - started

    def kill(self) -> None:
        """End them at once."""
        for engine in self._engines:
            engine.kill()

    async def _metrics(self) -> list[dict[str, float]]:
        """Every series of each engine by its name with labels."""
        found = []
        async with httpx.AsyncClient() as client:
            for url in self._metrics_urls:
                text = (await client.get(url)).text
                lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
                found.append({name: float(value) for name, _, value in lines})
        return found

    async def _total(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for one in await self._metrics():
            for name, value in one.items():
                total[name] = total.get(name, 0.0) + value
        return total

    def _cpu_seconds(self) -> float:
        return sum(sum(psutil.Process(one.process.pid).cpu_times()[:2]) for one in self._engines)

    async def applied(self) -> int:
        """Records applied, by the leases."""
        total = await self.room.database.fetchval("SELECT sum(next_offset) FROM activation.partition_lease")
        return int(total or 0)

    async def run(self, samples: Iterator[Sample], count: int, measured: Measured | None = None) -> None:
        """Fill the log while the engines are stopped, let them go, and measure until everything is applied."""
        for engine in self._engines:
            engine.signal(signal.SIGSTOP)
        before = await self.applied()
        end = before + await self.filler.fill(samples, count)
        cpu_before = self._cpu_seconds()
        for engine in self._engines:
            engine.signal(signal.SIGCONT)
        metrics_before = await self._total() if measured else {}
        started = time.perf_counter()
        while await self.applied() < end:
            for engine in self._engines:
                assert engine.process.poll() is None, engine.log.read_text()[-2000:]
            await asyncio.sleep(0.02)
        seconds = time.perf_counter() - started
        if measured is None:
            return
        metrics, events = await self._total(), end - before
        measured.events_per_s.append(events / seconds)
        measured.cpu_us_per_event.append((self._cpu_seconds() - cpu_before) / events * 1e6)

        def grown(name: str) -> float:
            return metrics.get(name, 0.0) - metrics_before.get(name, 0.0)

        measured.dirty_per_event.append(grown("firstvalue_engine_dirty_accounts_total") / events)
        for phase in PHASES:
            used = grown(f'firstvalue_engine_phase_cpu_seconds_total{{phase="{phase}"}}')
            measured.phase_us_per_event[phase].append(used / events * 1e6)

    async def ledger_p99_ms(self, events_per_s: float, accounts: int) -> float:
        """From the append of a record to the ledger row that it caused, at a steady load over so many accounts."""
        paced = self.filler.prepare(uniform(accounts), int(events_per_s * _LATENCY_SECONDS))
        since = await self.room.database.fetchval("SELECT clock_timestamp()")
        await self.filler.pace(paced, events_per_s)
        await until(self._all_applied, timeout_seconds=60, what="the paced load applied")
        rows = await self.room.database.fetch(
            "SELECT extract(epoch FROM recorded_at) * 1000 - appended_ms AS ms FROM activation.ledger"
            " WHERE recorded_at > $1",
            since,
        )
        assert len(rows) > 100, f"only {len(rows)} signals to judge by"
        return _p99([float(row["ms"]) for row in rows])

    async def read_p99_ms(self, accounts: int) -> float:
        """Of `GET /v1/accounts/{id}` over one connection, one request after the other, on engines that have nothing
        else to do."""
        taken = []
        headers = {"authorization": f"Bearer {_ADMIN_KEY}"}
        url = await asyncio.to_thread(self._engines[0].url)
        async with httpx.AsyncClient(base_url=url, headers=headers) as http:
            for number in range(_READS + 20):
                began = time.perf_counter()
                (await http.get(f"/v1/accounts/acc-{number * 97 % accounts}")).raise_for_status()
                taken.append((time.perf_counter() - began) * 1000)
        return _p99(taken[20:])

    def memory_mb(self) -> float:
        """Resident memory of the first engine."""
        return float(psutil.Process(self._engines[0].process.pid).memory_info().rss) / 1e6

    async def _all_applied(self) -> bool:
        return await self.applied() >= self.filler.appended


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
