"""How many events one engine applies, what each costs, and how soon another takes over: `make bench-engine`.

Real Kafka and PostgreSQL on the same cores. The engine is stopped (SIGSTOP) while the log is filled, so that the load
costs nothing while it is measured; its memory stays as it was.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import shutil
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import psutil

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path, root
from deploy.local.progress import Silence
from deploy.local.servers import servers_alone
from services.activation_engine.plan_templates import template_text
from tests.bench.engine_load import LogFiller, Sample, everyone_in_turn, skewed, uniform
from tests.bench.report import RUNS, print_header, print_json, print_medians
from tests.fakes.engine_process import EngineProcess, eventually
from tests.fakes.engine_room import EngineRoom, engine_room

_PARTS = 6
_ACCOUNTS = 100_000
_SESSION_SECONDS = 6
_LATENCY_SECONDS = 6.0
_PHASES = ("decode", "load", "fold", "encode", "commit")


@dataclass
class Measured:
    """Medians are taken over the runs of one load."""

    events_per_s: list[float] = field(default_factory=list)
    cpu_us_per_event: list[float] = field(default_factory=list)
    dirty_per_event: list[float] = field(default_factory=list)
    phase_us_per_event: dict[str, list[float]] = field(default_factory=lambda: {phase: [] for phase in _PHASES})


class Bench:
    """One engine under test in one room."""

    def __init__(self, room: EngineRoom, filler: LogFiller) -> None:
        self.room = room
        self.filler = filler
        self.engine: EngineProcess
        self.metrics_url = ""

    async def start(self, **settings: str) -> None:
        """Start the engine; returns when it is ready."""
        # It is stopped for seconds at a time, and must not be expelled for that.
        self.engine = self.room.start(FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS="60", **settings)
        self.metrics_url = await asyncio.to_thread(self.engine.metrics_url)

        async def owns_all() -> bool:
            return (await self.metric("firstvalue_engine_assigned_partitions")) == _PARTS

        await eventually(owns_all, within_seconds=30, what="all partitions claimed")

    async def metric(self, name: str) -> float:
        """The value of one series; 0 while the engine does not answer."""
        return (await self.metrics()).get(name, 0.0)

    async def metrics(self) -> dict[str, float]:
        """Every series by its name with labels."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(self.metrics_url)).text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    async def applied(self) -> int:
        """Records applied, by the leases."""
        total = await self.room.database.fetchval("SELECT sum(next_offset) FROM activation.partition_lease")
        return int(total or 0)

    async def run(self, samples: Iterator[Sample], count: int, measured: Measured | None) -> None:
        """Fill the log while the engine is stopped, let it go, and measure until everything is applied."""
        self.engine.signal(signal.SIGSTOP)
        end = await self.applied() + await self.filler.fill(samples, count)
        process = psutil.Process(self.engine.process.pid)
        cpu_before = sum(process.cpu_times()[:2])
        before = await self.applied()
        self.engine.signal(signal.SIGCONT)
        metrics_before = await self.metrics() if measured else {}
        started = time.perf_counter()
        while await self.applied() < end:
            assert self.engine.process.poll() is None, self.engine.log.read_text()[-2000:]
            await asyncio.sleep(0.02)
        seconds = time.perf_counter() - started
        if measured is None:
            return
        metrics = await self.metrics()
        events = end - before
        measured.events_per_s.append(events / seconds)
        measured.cpu_us_per_event.append((sum(process.cpu_times()[:2]) - cpu_before) / events * 1e6)

        def grown(name: str) -> float:
            return metrics.get(name, 0.0) - metrics_before.get(name, 0.0)

        measured.dirty_per_event.append(grown("firstvalue_engine_dirty_accounts_total") / events)
        for phase in _PHASES:
            used = grown(f'firstvalue_engine_phase_cpu_seconds_total{{phase="{phase}"}}')
            measured.phase_us_per_event[phase].append(used / events * 1e6)

    async def ledger_p99_ms(self, events_per_s: float) -> float:
        """From the append of a record to the ledger row that it caused, at a steady load."""
        since = await self.room.database.fetchval("SELECT clock_timestamp()")
        await self.filler.pace(events_per_s, seconds=_LATENCY_SECONDS)
        await eventually(self._all_applied, within_seconds=60, what="the paced load applied")
        rows = await self.room.database.fetch(
            "SELECT extract(epoch FROM recorded_at) * 1000 - appended_ms AS ms FROM activation.ledger"
            " WHERE recorded_at > $1",
            since,
        )
        assert len(rows) > 100, f"only {len(rows)} signals to judge by"
        return float(statistics.quantiles([float(row["ms"]) for row in rows], n=100)[98])

    def memory_mb(self) -> float:
        """Resident memory of the engine."""
        return float(psutil.Process(self.engine.process.pid).memory_info().rss) / 1e6

    async def _all_applied(self) -> bool:
        return await self.applied() >= self.filler.appended


async def _takeover_seconds(room: EngineRoom, filler: LogFiller) -> float:
    """From kill -9 of one of two engines to the first event applied on every partition."""
    settings = {"FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS": str(_SESSION_SECONDS), "group": "takeover"}
    first, second = room.start(**settings), room.start(**settings)

    async def shared() -> bool:
        owners = await room.database.fetch("SELECT DISTINCT owner FROM activation.partition_lease")
        found = {int(row["owner"].rpartition("/")[2]) for row in owners if row["owner"]}
        return found == {first.process.pid, second.process.pid}

    await eventually(shared, within_seconds=60, what="both engines own partitions")
    await filler.fill(uniform(_ACCOUNTS), 1_000)
    first.kill()
    started = time.perf_counter()
    before = dict(await room.database.fetch("SELECT part, next_offset FROM activation.partition_lease"))
    await filler.fill(uniform(_ACCOUNTS), 1_000)

    async def everywhere() -> bool:
        rows = await room.database.fetch("SELECT part, next_offset FROM activation.partition_lease")
        return all(row["next_offset"] > before[row["part"]] for row in rows) and (
            sum(row["next_offset"] for row in rows) == filler.appended
        )

    await eventually(everywhere, within_seconds=60, what="the survivor works on every partition")
    seconds = time.perf_counter() - started
    second.kill()
    return seconds


async def _measure(room: EngineRoom, options: argparse.Namespace) -> dict[str, float | None]:
    await room.publish_plan(template_text("b2b-saas"))
    filler = LogFiller(room)
    bench = Bench(room, filler)
    await bench.start()
    # Milestones of old customers are behind them; what comes after is everyday use.
    for person, name in enumerate(("Page Viewed", "Data Imported", "Page Viewed")):
        await bench.run(everyone_in_turn(_ACCOUNTS, day=0, name=name, person=person), _ACCOUNTS, None)
    print(f"resident memory after {_ACCOUNTS:,} accounts: {bench.memory_mb():,.0f} MB")
    figures: dict[str, float | None] = {}
    days = itertools.count(1)
    loads: dict[str, Callable[[], Iterator[Sample]]] = {
        "skewed": lambda: skewed(_ACCOUNTS),
        "uniform": lambda: uniform(_ACCOUNTS),
        "dirty": lambda: everyone_in_turn(_ACCOUNTS, day=next(days)),
    }
    for name, samples in loads.items():
        measured = Measured()
        count = _ACCOUNTS if name == "dirty" else options.events
        for _ in range(options.runs):
            await bench.run(samples(), count, measured)
        figures[f"{name}_events_per_s"] = _print(name, measured)
    rate = (figures["uniform_events_per_s"] or 0) / 2
    p99 = [await bench.ledger_p99_ms(rate) for _ in range(options.runs)]
    figures["ledger_p99_ms"] = print_medians({"ledger_p99_ms": p99}, title=f"at {rate:,.0f} events/s")["ledger_p99_ms"]
    figures["rss_mb_1m_accounts"] = await _memory(bench, options.memory_accounts)
    bench.engine.kill()
    takeovers = [await _takeover_seconds(room, filler) for _ in range(min(options.runs, options.takeovers))]
    figures["takeover_seconds"] = print_medians({"takeover_seconds": takeovers})["takeover_seconds"]
    return figures


async def _memory(bench: Bench, accounts: int) -> float | None:
    """Resident memory after as many accounts were met; the figure is for a million only."""
    for start in range(_ACCOUNTS, accounts, _ACCOUNTS):
        await bench.run(everyone_in_turn(_ACCOUNTS, day=0, first=start), _ACCOUNTS, None)
    megabytes = bench.memory_mb()
    print(f"resident memory after {max(accounts, _ACCOUNTS):,} accounts: {megabytes:,.0f} MB")
    return round(megabytes) if accounts >= 1_000_000 else None


def _print(name: str, measured: Measured) -> float:
    rows = {
        f"{name}_events_per_s": measured.events_per_s,
        "cpu_us_per_event": measured.cpu_us_per_event,
        "dirty_accounts_per_event": measured.dirty_per_event,
        **{f"{phase}_cpu_us_per_event": values for phase, values in measured.phase_us_per_event.items()},
    }
    return print_medians(rows, title=f"{name} load")[f"{name}_events_per_s"]


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--events", type=int, default=300_000, help="events per run of the skewed and uniform load")
    parser.add_argument("--memory-accounts", type=int, default=1_000_000, help="accounts met before memory is read")
    parser.add_argument("--takeovers", type=int, default=3, help="kills, each waiting for a session to expire")
    options = parser.parse_args()
    random.seed(7)
    folder = root() / ".firstvalue-test" / f"bench-engine-{os.getpid()}"
    settings: dict[str, Any] = {"partitions": _PARTS, "accounts": _ACCOUNTS, **vars(options)}
    print_header("activation engine", settings)
    data = DataFolder(folder)
    with servers_alone(data, jars=jars_path(), environment={}, progress=Silence(), stopping=Event()) as stack:
        figures = asyncio.run(_in_room(stack.connection, folder, options))
    shutil.rmtree(folder, ignore_errors=True)
    print_json(figures)


async def _in_room(connection: Any, folder: Path, options: argparse.Namespace) -> dict[str, float | None]:
    async with engine_room(
        database_url=connection["database"],
        kafka=connection["kafka"],
        prefix="bench.",
        folder=folder,
        parts=_PARTS,
    ) as room:
        return await _measure(room, options)


if __name__ == "__main__":
    main()
