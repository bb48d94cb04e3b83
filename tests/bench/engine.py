"""How many events the engine applies, what each costs, and how soon another takes over: `make bench-engine`.

Real Kafka and PostgreSQL on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path, root
from deploy.local.progress import Silence
from deploy.local.servers import servers_alone
from services.activation_engine.plan_templates import template_text
from tests.bench.engine_gauge import Bench, Measured
from tests.bench.engine_load import ROLES, LogFiller, Sample, everyone_in_turn, skewed, uniform
from tests.bench.report import RUNS, print_header, print_json, print_medians
from tests.fakes.engine_room import EngineRoom, engine_room
from tests.waiting import until

_PARTS = 6
_SESSION_SECONDS = 6


async def _takeover_seconds(room: EngineRoom, filler: LogFiller, accounts: int) -> float:
    """From kill -9 of one of two engines to the first event applied on every partition."""
    settings = {"FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS": str(_SESSION_SECONDS)}
    first, second = room.start(group="takeover", **settings), room.start(group="takeover", **settings)

    async def shared() -> bool:
        owners = await room.database.fetch("SELECT DISTINCT owner FROM activation.partition_lease")
        found = {int(row["owner"].rpartition("/")[2]) for row in owners if row["owner"]}
        return found == {first.process.pid, second.process.pid}

    await until(shared, timeout_seconds=60, what="both engines own partitions")
    await filler.fill(uniform(accounts), 1_000)
    first.kill()
    started = time.perf_counter()
    before = dict(await room.database.fetch("SELECT part, next_offset FROM activation.partition_lease"))
    await filler.fill(uniform(accounts), 1_000)

    async def everywhere() -> bool:
        rows = await room.database.fetch("SELECT part, next_offset FROM activation.partition_lease")
        return all(row["next_offset"] > before[row["part"]] for row in rows) and (
            sum(row["next_offset"] for row in rows) == filler.appended
        )

    await until(everywhere, timeout_seconds=60, what="the survivor works on every partition")
    seconds = time.perf_counter() - started
    second.kill()
    return seconds


async def _measure(room: EngineRoom, options: argparse.Namespace) -> dict[str, float | None]:
    await room.publish_plan(template_text("b2b-saas"))
    filler, accounts = LogFiller(room), options.accounts
    bench = Bench(room, filler)
    figures: dict[str, float | None] = {"start_seconds": round(await bench.start(), 1)}
    first = Measured()
    await bench.run(everyone_in_turn(accounts, day=0), accounts, first)
    figures |= _print("announcing", first)
    await _settle(bench, accounts)
    steady: dict[str, Callable[[], Iterator[Sample]]] = {
        "skewed": lambda: skewed(accounts),
        "uniform": lambda: uniform(accounts),
    }
    for name, load in steady.items():
        figures |= await _median(bench, name, load, options.events, options.runs)
    figures |= _medians("read_p99_ms", [await bench.read_p99_ms(accounts) for _ in range(options.runs)])
    rate = (figures["uniform_events_per_s"] or 0) / 2
    p99 = [await bench.ledger_p99_ms(rate, accounts) for _ in range(options.runs)]
    figures |= _medians("ledger_p99_ms", p99, title=f"at {rate:,.0f} events/s")
    figures |= await _memory(bench, accounts, options.memory_accounts)
    bench.kill()
    pair = Bench(room, filler)
    await pair.start(engines=2)
    await _settle(pair, accounts)
    for name, load in steady.items():
        figures |= await _median(pair, f"two_engines_{name}", load, options.events, options.runs)
    pair.kill()
    takeovers = [await _takeover_seconds(room, filler, accounts) for _ in range(min(options.runs, options.takeovers))]
    figures |= _medians("takeover_seconds", takeovers)
    return figures | await _dirty(room, filler, options)


async def _settle(bench: Bench, accounts: int) -> None:
    """Everybody does twice what they will do, so that milestones are behind them and what comes after is everyday use:
    the first time changes what is known, from the second time on it is known to change nothing."""
    for _ in range(2):
        for name in ("Page Viewed", "Data Imported"):
            for person in range(len(ROLES)):
                await bench.run(everyone_in_turn(accounts, day=0, name=name, person=person), accounts)


async def _dirty(room: EngineRoom, filler: LogFiller, options: argparse.Namespace) -> dict[str, float]:
    """Every event is another account's first of a day. Comes last: these days are ahead of the clock, and what is late
    for an account is no everyday use of it any more."""
    bench, days = Bench(room, filler), itertools.count(1)
    seconds = round(await bench.start(), 1)
    print(f"started with all those accounts in {seconds} s", flush=True)
    await bench.run(everyone_in_turn(options.accounts, day=0), options.accounts)
    figures = await _median(
        bench, "dirty", lambda: everyone_in_turn(options.accounts, day=next(days)), options.accounts, options.runs
    )
    bench.kill()
    return figures | {"start_seconds_at_last": seconds}


async def _median(
    bench: Bench, name: str, load: Callable[[], Iterator[Sample]], count: int, runs: int
) -> dict[str, float]:
    measured = Measured()
    for _ in range(runs):
        await bench.run(load(), count, measured)
    return _print(name, measured)


async def _memory(bench: Bench, known: int, wanted: int) -> dict[str, float]:
    """Resident memory after so many accounts, and after more were met than the cache holds."""
    figures = {f"rss_mb_{known}_accounts": round(bench.memory_mb())}
    for start in range(known, wanted, known):
        await bench.run(everyone_in_turn(known, day=0, first=start), known)
        figures[f"rss_mb_{start + known}_accounts"] = round(bench.memory_mb())
    for name, megabytes in figures.items():
        print(f"{name}: {megabytes:,}", flush=True)
    return {name: float(megabytes) for name, megabytes in figures.items()}


def _print(name: str, measured: Measured) -> dict[str, float]:
    medians = print_medians(measured.rows(name), title=f"{name} load")
    return {f"{name}_events_per_s": medians[f"{name}_events_per_s"], f"{name}_cpu_us": medians["cpu_us_per_event"]}


def _medians(name: str, values: list[float], *, title: str = "medians") -> dict[str, float]:
    return print_medians({name: values}, title=title)


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts of all loads")
    parser.add_argument("--events", type=int, default=300_000, help="events per run of the skewed and uniform load")
    parser.add_argument("--memory-accounts", type=int, default=1_000_000, help="accounts met before memory is read")
    parser.add_argument("--takeovers", type=int, default=3, help="kills, each waiting for a session to expire")
    options = parser.parse_args()
    random.seed(7)
    folder = root() / ".firstvalue-test" / f"bench-engine-{os.getpid()}"
    settings: dict[str, Any] = {"partitions": _PARTS, **vars(options)}
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
