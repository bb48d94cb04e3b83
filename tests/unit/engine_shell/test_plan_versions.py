"""Plan versions that go live while records are applied: what a replay of the log finds is what the engine found."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from services.activation_engine import batch
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import decode, encode
from services.activation_engine.domain.ticking import apply_tick
from services.activation_engine.plans.loader import load_plan
from services.activation_engine.plans.registry import RETIRED
from services.activation_engine.store import Adoption
from tests.builders import DAY_MS, START_MS
from tests.fakes.engine_records import QUICK_PLAN, event_value, tick_value
from tests.fakes.memory_store import MemoryStore
from tests.fakes.oracle import fold_log
from tests.unit.engine_shell.test_transactions import Engine

SOONER = QUICK_PLAN.replace("output: {due: 4d", "output: {due: 3d").replace("quiet: 8d", "quiet: 6d")
MORE = SOONER.replace("habit: {when", "seen: {due: 1d, when: page.viewed}\n  habit: {when")
VERSIONS = {number: load_plan(text) for number, text in enumerate((QUICK_PLAN, SOONER, MORE, QUICK_PLAN, MORE), 1)}
# By this version the plan ends, until the one after it.
LAST = 4
NAMES = ("Data Imported", "Report Made", "Page Viewed", "page.viewed")


def log_of(dice: random.Random) -> list[Any]:
    """Some plan days of a dozen accounts, with ticks and holes."""
    at, log = START_MS, []
    for number in range(250):
        at += dice.randrange(60)
        tick = dice.random() < 0.2
        if tick and dice.random() < 0.05:
            at += 400_000
        account = f"account-{dice.randrange(12)}"
        late_ms = dice.choice([0, 0, 500])
        value = tick_value(at) if tick else event_value(account, dice.choice(NAMES), f"m{number}", at_ms=at - late_ms)
        log.append(SimpleNamespace(offset=number, timestamp=at, key=None if tick else account.encode(), value=value))
    return log


async def applied(engine: Engine, log: list[Any], dice: random.Random) -> dict[int, Adoption]:
    """Apply the log in batches, publish versions and lose the partition now and then; the adoptions by offset."""
    adoptions: dict[int, Adoption] = {}
    unpublished = [*VERSIONS]
    while (place := engine.store.leases[0].next_offset) < len(log):
        if unpublished and (place == 0 or dice.random() < 0.1):
            version = unpublished.pop(0)
            policy = RETIRED if version == LAST else dice.choice(["silent", "emit"])
            engine.store.versions["quick", version] = (policy, VERSIONS[version].content)
            await engine.catalog.refresh()
        if dice.random() < 0.2:
            await engine.leases.revoke(within_seconds=1)
            await engine.claim()
        await engine.transactions.apply({0: log[place : place + dice.randrange(1, 40)]}, {})
        newest = engine.store.adoptions[0, "quick"]
        adoptions[newest.from_offset] = newest
    return adoptions


def without_check(state: AccountState) -> bytes:
    """A replay lowers the next check of every account at an adoption; an owner sweeps them instead."""
    state.next_check_ms = None
    return encode(state)


@pytest.mark.parametrize("due_max", [1, 2, 5, 50])
@pytest.mark.parametrize("seed", range(12))
async def test_a_replay_finds_the_same_signals_and_states(seed: int, due_max: int) -> None:
    """However the log was cut into batches, and however few accounts a batch may look at."""
    dice = random.Random(seed)
    engine = Engine(due_accounts_max=due_max)
    await engine.claim()
    log = log_of(dice)
    adoptions = await applied(engine, log, dice)
    oracle = fold_log(log, adoptions.values(), lambda _, version: VERSIONS[version].plan)
    assert sorted(row.id for row in engine.store.ledger[0]) == sorted(signal.id for signal in oracle.signals)
    assert set(engine.store.accounts) == set(oracle.accounts)
    ended = [row for row in engine.store.plans.values() if row.version == LAST]
    assert all((row.status, row.reason) == ("closed", "left_plan") for row in ended)
    for account_id, row in engine.store.accounts.items():
        assert without_check(decode(account_id, row.facts)) == without_check(oracle.accounts[account_id])


@pytest.mark.parametrize("accounts", [0, 1, 2, 4])
async def test_a_sweep_ends_within_the_first_tick(accounts: int) -> None:
    """Also when nobody is there to be looked at, and when the last batch of it was a full one."""
    engine = Engine(due_accounts_max=2)
    await engine.claim()
    await engine.apply_many(accounts)
    engine.store.versions["quick", 1] = ("silent", VERSIONS[1].content)
    await engine.catalog.refresh()
    tick = SimpleNamespace(offset=accounts, timestamp=START_MS, key=None, value=tick_value(START_MS))
    taken = 0
    while not taken:
        taken = (await engine.transactions.apply({0: [tick]}, {}))[0]
    assert engine.store.adoptions[0, "quick"].version == 1
    assert engine.store.leases[0].sweep_after is None


@pytest.mark.parametrize("due_max", [1, 2, 10])
async def test_a_sweep_leaves_out_what_was_due_at_its_tick(due_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each account is decided once at a tick, however many batches that takes; new ones are due at their first tick."""
    decided: list[str] = []

    def counted(state: AccountState, *more: Any) -> Any:
        decided.append(state.account_id)
        return apply_tick(state, *more)

    monkeypatch.setattr(batch, "apply_tick", counted)
    engine = Engine(due_accounts_max=due_max)
    engine.store.versions["quick", 1] = ("silent", VERSIONS[1].content)
    await engine.catalog.refresh()
    await engine.claim()
    await engine.apply_many(4)
    tick = SimpleNamespace(offset=4, timestamp=START_MS, key=None, value=tick_value(START_MS))
    while not (await engine.transactions.apply({0: [tick]}, {}))[0]:
        pass
    assert engine.store.leases[0].sweep_after is None
    assert sorted(decided) == ["a0", "a1", "a2", "a3"]


@pytest.mark.parametrize(("appended_ms", "live_ms"), [(10_000, 10_000), (30 * DAY_MS, 5 * 60_000)])
async def test_one_wrong_broker_clock_makes_no_version_a_thing_to_come(appended_ms: int, live_ms: int) -> None:
    """Its accounts would be told nothing but history until then."""
    engine = Engine()
    await engine.claim()
    tick = SimpleNamespace(offset=0, timestamp=START_MS, key=None, value=tick_value(START_MS))
    assert await engine.transactions.apply({0: [tick]}, {}) == {0: 1}
    record = engine._record(0, "acme")
    record.timestamp = START_MS + appended_ms
    assert await engine.transactions.apply({0: [record]}, {}) == {0: 1}
    engine.store.versions["quick", 1] = ("silent", VERSIONS[1].content)
    await engine.catalog.refresh()
    await engine.transactions.apply({0: []}, {})
    assert engine.store.adoptions[0, "quick"].live_from_ms == START_MS + live_ms


async def test_a_version_of_an_earlier_release_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote into a content, this one leaves out, and so finds another hash: that is no other version."""
    engine, read = Engine(), list[int]()
    plan_content = engine.store.plan_content

    async def noted(plan: str, version: int) -> Any:
        read.append(version)
        return await plan_content(plan, version)

    monkeypatch.setattr(engine.store, "plan_content", noted)
    engine.store.versions["quick", 1] = ("silent", {**VERSIONS[1].content, "escalate": None})
    for _ in range(3):
        await engine.catalog.refresh()
    assert read == [1]


async def test_a_number_that_a_failover_gave_away_again_is_compiled_anew() -> None:
    """A publication was lost after it was seen, and another one has its number."""
    engine = Engine()
    for version in (1, 2):
        engine.store.versions["quick", 1] = ("silent", VERSIONS[version].content)
        await engine.catalog.refresh()
        await engine.claim()
        await engine.apply_many(1)
        (live,) = engine.leases.held[0].plans.live
        assert (live.version, live.plan.hash) == (1, VERSIONS[version].hash)
        engine.store.become(MemoryStore())
