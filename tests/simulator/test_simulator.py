"""Thousands of crashes in seeded worlds: whatever goes wrong, in the end everything is as a plain fold says.

FIRSTVALUE_SIMULATOR_SEED=n runs one seed alone, with the engines' log lines.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import pytest

from schemas.signals import ACCOUNT_TYPES
from services.runtime.process import WorkerFailed
from tests.simulator.faults import PLACES, Fate, Rates
from tests.simulator.planted import PLANTED
from tests.simulator.quiet import quiet
from tests.simulator.violation import Violation
from tests.simulator.world import Report, Scale, run_world

CRASHES_MIN = 10_000


class Climate(NamedTuple):
    """What kind of worlds."""

    rates: Rates
    scale: Scale
    seeds: range


CLIMATES = {
    "crashes": Climate(Rates(), Scale(), range(245)),
    "failovers": Climate(Rates(failovers_seconds=3), Scale(), range(60)),
    # Failovers lose one or two commits each and strike again and again; engines live long enough to remember them.
    "storm": Climate(
        Rates(failovers_seconds=0.25, standby_lag_seconds=0.03, life_steps=2_000, doomed=0.1),
        Scale(publications=8, accounts=25),
        range(40),
    ),
}
# Where each planted bug shows best, and within how many seeds it has to.
FOUND_IN = {
    "the compare-and-set is skipped": ("failovers", 20),
    "epoch and offset instead of stamps": ("storm", 20),
    "caches are kept over a revocation": ("crashes", 20),
    "the notifier takes only higher numbers": ("failovers", 40),
    "the relay starts at out_seq": ("crashes", 5),
    "a commit without an answer is adopted": ("crashes", 40),
    "a claim forgets what still names the erased": ("crashes", 10),
    "a transaction erases after it has written": ("crashes", 40),
    "an erased account stays in memory": ("crashes", 10),
}


def live(climate: str, seed: int) -> Report:
    """One world; its failure says how to see it again."""
    try:
        return run_world(seed, rates=CLIMATES[climate].rates, scale=CLIMATES[climate].scale)
    except Exception as error:
        rerun = f"FIRSTVALUE_SIMULATOR_SEED={seed} .venv/bin/python -m pytest tests/simulator -k {climate}"
        raise AssertionError(f"seed {seed} of {climate}: {error!r}\nagain: {rerun}") from error


def live_all(climate: str, seeds: Iterable[int]) -> list[Report]:
    """Many worlds, as many at a time as there are processors."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=quiet) as pool:
        return list(pool.map(partial(live, climate), seeds, chunksize=5))


# A processor's minute and more each, of which a busy machine makes many.
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("climate", CLIMATES)
def test_whatever_happens_everything_ends_as_a_plain_fold_says(climate: str) -> None:
    """Ledgers gapless and equal to the fold's, states equal, every signal delivered, within bounded time."""
    if chosen := os.environ.get("FIRSTVALUE_SIMULATOR_SEED"):
        live(climate, int(chosen))
        return
    reports = live_all(climate, CLIMATES[climate].seeds)
    happened = sum((report.happened for report in reports), Counter[str]())
    crashes = sum((report.crashes for report in reports), Counter[str]())
    print(f"\n{climate}: {len(reports)} worlds, {crashes.total()} crashes, {dict(happened)}")
    signals = sum((report.signals for report in reports), Counter[str]())
    assert signals.total() > 50 * len(reports)
    # Most is applied in spite of the faults, not when they have ended.
    assert sum(report.records_early for report in reports) > 0.6 * sum(report.records for report in reports)
    kinds = {"paused", "stopped", "outage", "rebalance", "notifier killed", "came back", "plan ended"}
    kinds |= {f"commit {fate.name}" for fate in (Fate.LOST, Fate.UNANSWERED, Fate.LATE)}
    kinds |= {f"produce {fate.name}" for fate in Fate if fate is not Fate.ANSWERED}
    assert kinds <= set(happened)
    if climate == "crashes":
        assert crashes.total() >= CRASHES_MIN
        assert {place: crashes[place] for place in PLACES if crashes[place] < 20} == {}
        assert {kind: signals[kind] for kind in ACCOUNT_TYPES if signals[kind] < 20} == {}
    else:
        assert happened["failover"] > 3 * len(reports)


def test_a_seed_decides_everything() -> None:
    """Another process, with other hashes, sees the same world."""
    here = [live("failovers", seed) for seed in range(3)]
    assert live_all("failovers", range(3)) == here
    assert here[0] != here[1]


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    """Within a few seeds; in the same worlds the product as it is breaks no promise."""
    climate, seeds_max = FOUND_IN[bug]
    rates, scale, seeds = CLIMATES[climate]
    assert seeds_max <= len(seeds)
    for seed in range(seeds_max):
        try:
            run_world(seed, rates=rates, scale=scale, parts=PLANTED[bug])
        # What the product's own assertions find ends a worker.
        except (Violation, WorkerFailed, AssertionError) as error:
            print(f"\n{bug}: seed {seed} of {climate} finds {repr(error)[:200]}")
            return
    pytest.fail(f"{seeds_max} worlds of {climate} look as if nothing was wrong")
