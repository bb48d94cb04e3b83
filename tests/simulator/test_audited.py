"""Audits of simulated worlds as of any commit, while they move on: nothing differs but what is planted."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest

from services.activation_engine.operations.audit.snapshot import Snapshot
from tests.simulator.auditing import Moment, MovingWorld, audited, moments_of
from tests.simulator.faults import Rates
from tests.simulator.quiet import quiet
from tests.simulator.workload import EVENTS, PARTS
from tests.simulator.world import Parts, Scale, World

WORLDS = 16
# Of the commits of a world every so many-th.
_STEP = 9


def lived(seed: int) -> tuple[World, list[Moment]]:
    """A world at its end, with all its moments."""
    world = World(seed, rates=Rates(), scale=Scale(publications=6), parts=Parts())
    moments = moments_of(world)
    # The product's jitter is a throw of dice as well.
    random.seed(seed)
    world.loop.run(world.run())
    return world, moments


def audit_world(seed: int) -> Counter[str]:
    """Audit a world as of some of its moments, with its logs whole and cut; how many audits, and of what."""
    quiet()
    world, moments = lived(seed)
    dice, seen = random.Random(seed), Counter[str]()
    for at in range(dice.randrange(_STEP), len(moments), _STEP):
        leases = moments[at].store.leases
        cut = dice.random() < 0.5
        begins = [dice.randrange(max(1, leases[part].next_offset)) if cut else 0 for part in range(PARTS)]
        result = asyncio.run(audited(MovingWorld(moments[at:], world.broker.logs[EVENTS], begins, dice)))
        assert result["listed"] == [], f"seed {seed}, moment {at}, logs from {begins}"
        seen["audits"] += 1
        seen["audited"] += result["audited"]
        seen["not audited"] += result["not_audited"]
        for lease in leases.values():
            seen["sweep pending"] += lease.sweep_after == ""
            seen["sweep midway"] += bool(lease.sweep_after)
            seen["hold"] += lease.clock.holding
    return seen


@pytest.mark.timeout(1_200)
def test_at_no_moment_of_any_world_does_anything_differ() -> None:
    """Midway through ticks and sweeps, in holds, during erasures, from wherever retention has cut the log."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        seen = sum(pool.map(audit_world, range(WORLDS)), Counter[str]())
    print(f"\n{dict(seen)}")
    assert seen["audits"] > 10 * WORLDS
    kinds = ("audited", "not audited", "sweep pending", "sweep midway", "hold")
    assert {kind: seen[kind] for kind in kinds if seen[kind] < WORLDS // 4} == {}


def test_what_is_planted_at_some_moment_differs() -> None:
    """An owner that nobody set, in one account or another; a signal that nobody owes."""
    world, moments = lived(0)
    dice, step = random.Random(0), len(moments) // 6
    for at in range(step, len(moments), step):
        store = moments[at].store.copy()
        account, row = dice.choice(sorted(store.accounts.items()))
        store.accounts[account] = row._replace(owner="nobody")
        part = next(part for part, rows in store.ledger.items() if rows)
        forged = replace(store.ledger[part][-1], id="00000000-0000-5000-8000-000000000000")
        store.ledger[part][-1] = forged
        stands = MovingWorld([Moment(store, moments[at].ends)], world.broker.logs[EVENTS], [0] * PARTS, dice)
        found = asyncio.run(audited(stands))["listed"]
        kinds = {(one["kind"], one["account"]) for one in found}
        assert ("account_row", account) in kinds
        assert {"signal_missing", "signal_unexpected"} <= {kind for kind, _ in kinds}
        assert len(found) == 3


def test_a_partition_that_is_resumed_during_an_audit_is_not_compared() -> None:
    """What it skipped is not there, and that is right."""
    world, moments = lived(0)
    store = moments[-1].store.copy()
    store.accounts.pop(min(store.accounts))

    class Resumed(MovingWorld):
        async def snapshot(self, part: int, *, with_accounts: bool = True) -> Snapshot:
            found = await super().snapshot(part, with_accounts=with_accounts)
            # With its accounts it is read last.
            return replace(found, resumed=with_accounts)

    stands = Resumed([Moment(store, moments[-1].ends)], world.broker.logs[EVENTS], [0] * PARTS, random.Random(0))
    result = asyncio.run(audited(stands))
    assert result["listed"] == []
    assert {one["state"] for one in result["partitions"]} == {"log_incomplete"}
