"""What the whole pipeline carries, how soon, and what it costs: `make bench-pipeline`.

Events over HTTP to ingest, Kafka, engine, ledger, Kafka, notifier, receiver; all on the same cores. In every request
of a hundred events one customer is new, whose start a webhook announces.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy.local.data_folder import DataFolder
from tests.bench.pipeline_load import CONNECTIONS, EVENTS_PER_REQUEST
from tests.bench.pipeline_room import PARTS, PipelineRoom, Step, pipeline_room
from tests.bench.pipeline_search import greatest
from tests.bench.report import print_header, print_json, print_rows, rounded
from tests.fakes.private_servers import private_servers

_LEVELS = (25, 50, 75)
_PARTITIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Where the search begins, how long a step lasts and the search may; it halves the gap `halvings` times."""

    first_per_s: float
    step_seconds: float
    search_seconds: float
    halvings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One size of pipeline: `refused_per_s` is the least load that did not hold, None if the search ended before."""

    events_per_s: float
    refused_per_s: float | None
    levels: dict[int, Step]


_LONG = Terms(first_per_s=1_000, step_seconds=12, search_seconds=240, halvings=3)
_SHORT = Terms(first_per_s=2_000, step_seconds=3, search_seconds=15, halvings=1)


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=_numbers, help="known accounts; the first is measured with all partitions")
    parser.add_argument("--partitions", type=_numbers, help="of the topics; six, or the first, with all accounts")
    parser.add_argument("--step-seconds", type=float, help="how long each load is tried")
    parser.add_argument("--search-seconds", type=float, help="how long a size's search may take")
    parser.add_argument("--short", action="store_true", help="one size, short steps: whether it works, not figures")
    options = parser.parse_args()
    terms = _SHORT if options.short else _LONG
    terms = replace(
        terms,
        step_seconds=options.step_seconds or terms.step_seconds,
        search_seconds=options.search_seconds or terms.search_seconds,
    )
    accounts = options.accounts or ([1_000] if options.short else [10_000, 100_000])
    partitions = options.partitions or ([_PARTITIONS] if options.short else [1, _PARTITIONS, 24])
    print_header(
        "pipeline: event over HTTP to webhook answered",
        {
            "accounts": accounts,
            "partitions": partitions,
            "events_per_request": EVENTS_PER_REQUEST,
            "signals_per_request": 1,
            "connections": CONNECTIONS,
            "endpoints": 1,
            "step_seconds": terms.step_seconds,
            "search_seconds": terms.search_seconds,
            "replicas": 1,
        },
    )
    with private_servers("bench-pipeline") as servers:
        print_json(asyncio.run(_measure_all(servers, terms, accounts, partitions)))


def _numbers(text: str) -> list[int]:
    numbers = [int(word) if word.isdecimal() else 0 for word in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("give whole numbers from 1, comma-separated, such as 10000,100000")
    return numbers


async def _measure_all(
    servers: DataFolder, terms: Terms, accounts: Sequence[int], partitions: Sequence[int]
) -> dict[str, float | None]:
    """The first number of accounts with six partitions, or the first; then one of the two changes at a time."""
    usual = _PARTITIONS if _PARTITIONS in partitions else partitions[0]
    sizes = [(accounts[0], usual), *((more, usual) for more in accounts[1:])]
    sizes += [(accounts[0], other) for other in partitions if other != usual]
    measured: dict[tuple[int, int], Measured] = {}
    for size in sizes:
        first = measured[sizes[0]].events_per_s / 4 if measured else terms.first_per_s
        folder = servers.path / "-".join(map(str, size))
        await asyncio.to_thread(folder.mkdir)
        async with pipeline_room(servers, folder, accounts=size[0], partitions=size[1]) as room:
            measured[size] = await _measure(room, terms, first, f"accounts {size[0]:,}, partitions {size[1]}")
    columns = ("accounts, partitions", "events/s", "p50 ms at 50 %", "p99 ms at 50 %", "CPU s per million events")
    print_rows(columns, {f"{a:,}, {p}": _growth(one) for (a, p), one in measured.items()}, title="growth")
    return _figures(measured[sizes[0]]) | {
        f"events_per_s_{many}_accounts_{parts}_partitions": rounded(one.events_per_s)
        for (many, parts), one in measured.items()
    }


async def _measure(room: PipelineRoom, terms: Terms, first: float, title: str) -> Measured:
    """Search, then measure at each level of what was found."""

    async def holds(events_per_s: float) -> bool:
        step = await room.step(events_per_s, terms.step_seconds)
        print(_in_words(step), flush=True)
        return step.flat

    print(f"search with {title}", flush=True)
    # Nothing is measured of the first requests through new connections and empty caches.
    await room.step(first, terms.step_seconds)
    deadline = time.monotonic() + terms.search_seconds
    found = await greatest(holds, first=first, halvings=terms.halvings, time_left=lambda: time.monotonic() < deadline)
    if found.carried == 0:
        raise SystemExit("no load was carried: see above what waits, and whether other programs want the machine")
    levels = {level: await room.step(found.carried * level / 100, terms.step_seconds) for level in _LEVELS}
    measured = Measured(events_per_s=found.carried, refused_per_s=found.refused, levels=levels)
    _print_levels(measured, title)
    return measured


def _in_words(step: Step) -> str:
    verdict = "carried" if step.flat else "too much"
    return (
        f"{step.asked_per_s:>9,.0f} events/s asked, {step.events_per_s:>9,.0f} sent: {verdict:8}"
        f"  at worst {step.worst.events:,} events and {step.worst.signals:,} signals wait, p99 {step.p99_ms:,.0f} ms"
    )


def _print_levels(measured: Measured, title: str) -> None:
    levels = measured.levels
    refused = "nothing was refused" if measured.refused_per_s is None else f"{measured.refused_per_s:,.0f} is too much"
    print(f"{title}: {measured.events_per_s:,.0f} events/s carried, {refused}", flush=True)
    latency = {
        f"{level} %": [step.events_per_s, step.events // EVENTS_PER_REQUEST, *_latencies(step)]
        for level, step in levels.items()
    }
    print_rows(("load", "events/s", "signals", "p50 ms", "p99 ms", "accept p99 ms"), latency, title="end to end")
    for name, kind in (("cpu_share", "CPU share, % of one core"), ("cpu_seconds", "CPU seconds per million events")):
        rows = {
            part: [
                100 * step.cpu_share[part] if name == "cpu_share" else _per_million(step, part)
                for step in levels.values()
            ]
            for part in (*PARTS, "others")
        }
        rows["all parts"] = [sum(rows[part][place] for part in PARTS) for place in range(len(levels))]
        print_rows(("part", *(f"at {level} %" for level in levels)), rows, title=kind)


def _latencies(step: Step) -> tuple[float, float, float]:
    return step.p50_ms, step.p99_ms, step.accept_p99_ms


def _per_million(step: Step, *parts: str) -> float:
    return 1e6 * sum(step.cpu_seconds[part] for part in parts) / step.events


def _growth(measured: Measured) -> list[float]:
    half = measured.levels[50]
    return [measured.events_per_s, half.p50_ms, half.p99_ms, _per_million(half, *PARTS)]


def _figures(measured: Measured) -> dict[str, float | None]:
    levels, half = measured.levels, measured.levels[50]
    figures: dict[str, float | None] = {
        "events_per_s": rounded(measured.events_per_s),
        "end_to_end_p50_ms": rounded(half.p50_ms),
        "end_to_end_p99_ms": rounded(half.p99_ms),
        "refused_events_per_s": None if measured.refused_per_s is None else rounded(measured.refused_per_s),
        "cpu_s_per_million_events": rounded(_per_million(half, *PARTS)),
    }
    for level, step in levels.items():
        figures[f"end_to_end_p50_ms_at_{level}_percent"] = rounded(step.p50_ms)
        figures[f"end_to_end_p99_ms_at_{level}_percent"] = rounded(step.p99_ms)
    return figures


if __name__ == "__main__":
    main()
