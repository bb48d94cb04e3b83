"""What can never be applied costs one record, or at a tick its partition, whoever shares its batch."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from services.activation_engine import batch
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.ticking import apply_tick
from services.activation_engine.domain.transitions import apply_event
from services.activation_engine.plans.loader import load_plan
from services.activation_engine.store import Commit, RowsRefused
from tests.fakes.engine_records import QUICK_PLAN, tick_value
from tests.unit.engine_shell.test_transactions import Engine


async def settle(engine: Engine, records: dict[int, list[Any]]) -> None:
    """Apply these until all are consumed, or their partition is stopped; claiming anew whenever that is due."""
    for _ in range(100):
        for part, waiting in records.items():
            lease = engine.store.leases[part]
            records[part] = [one for one in waiting if one.offset >= lease.next_offset and lease.stopped is None]
        taken = {part: waiting for part, waiting in records.items() if waiting}
        if not taken:
            return
        await engine.leases.claim(engine.leases.claimable())
        await engine.transactions.apply(taken, {})
    raise AssertionError(f"left: {records}")


async def test_one_record_that_the_database_can_never_take_stops_nobody() -> None:
    """It alone becomes a dead letter, whoever shares its batch; its account goes on once it is taken."""
    engine = Engine()
    engine.store.refused = frozenset({"cursed"})
    await engine.claim()
    names = {0: ["acme", "cursed", "birch", "cursed"], 1: ["cedar", "doge"]}
    records = {part: [engine._record(part, one, ahead=n) for n, one in enumerate(names[part])] for part in names}
    await settle(engine, records)
    assert [(letter.offset, letter.reason) for letter in engine.store.dead_letters] == [
        (1, "rows_refused"),
        (3, "rows_refused"),
    ]
    assert set(engine.store.accounts) == {"acme", "birch", "cedar", "doge"}
    assert [engine.store.leases[part].next_offset for part in (0, 1)] == [4, 2]
    engine.store.refused = frozenset()
    assert await engine.apply(p0="cursed") == {0: 1}
    assert "cursed" in engine.store.accounts


async def test_one_record_at_which_the_fold_fails_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours costs the record, which is applied once the mistake is mended and the letter is sent again."""
    engine, mended = Engine(), False

    def mistaken(state: AccountState, *more: Any) -> Any:
        announced = apply_event(state, *more)
        assert mended or state.account_id != "cursed", "nobody thought of this"
        return announced

    monkeypatch.setattr(batch, "apply_event", mistaken)
    await engine.claim()
    names = {0: ["acme", "cursed", "birch"], 1: ["cedar"]}
    await settle(engine, {p: [engine._record(p, one, ahead=n) for n, one in enumerate(names[p])] for p in names})
    assert [(letter.offset, letter.reason) for letter in engine.store.dead_letters] == [(1, "fold_failed")]
    assert set(engine.store.accounts) == {"acme", "birch", "cedar"}
    mended = True
    assert await engine.apply(p0="cursed") == {0: 1}
    assert "cursed" in engine.store.accounts


async def test_what_a_server_does_costs_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what nobody thought of, as of a driver that writes to a connection that is closed: it ends the process."""
    engine = Engine()
    engine.store.versions["quick", 1] = ("silent", load_plan(QUICK_PLAN).content)
    await engine.catalog.refresh()
    await engine.claim()

    async def closed(_: object) -> set[str]:
        raise RuntimeError("unable to perform operation on a closed transport")

    monkeypatch.setattr(engine.store, "known_signals", closed)
    with pytest.raises(RuntimeError, match="closed transport"):
        await engine.apply(p0="acme")


async def test_a_tick_at_which_the_fold_fails_stops_its_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on, and so does this one by a release that does not fail."""
    engine = Engine()
    engine.store.versions["quick", 1] = ("silent", load_plan(QUICK_PLAN).content)
    await engine.catalog.refresh()
    await engine.claim()
    assert await engine.apply(p0="acme", p1="birch") == {0: 1, 1: 1}

    def mistaken(state: AccountState, *more: Any) -> Any:
        assert state.account_id != "acme", "nobody thought of this"
        return apply_tick(state, *more)

    monkeypatch.setattr(batch, "apply_tick", mistaken)
    tick = SimpleNamespace(offset=1, timestamp=2_000, key=None, value=tick_value(2_000))
    await settle(engine, {0: [tick], 1: [tick]})
    assert (engine.store.leases[0].stopped, engine.store.leases[1].next_offset) == ("fold_failed", 2)
    monkeypatch.setattr(batch, "apply_tick", apply_tick)
    engine.leases.reclaim([0])
    engine.store.leases[0] = replace(engine.store.leases[0], stopped=None)
    await settle(engine, {0: [tick]})
    assert engine.store.leases[0].next_offset == 2
    assert engine.store.dead_letters == []


async def adopting(engine: Engine, taken: dict[int, list[Any]]) -> None:
    """Let these adopt, with three records of each at a time, for as often as it takes to find out who is to blame."""
    for _ in range(20):
        await engine.leases.claim(engine.leases.claimable())
        held = {part: records[:3] for part, records in taken.items() if part in engine.leases.held}
        consumed = await engine.transactions.apply(held, {})
        taken |= {part: taken[part][count:] for part, count in consumed.items()}


async def publish(engine: Engine) -> None:
    """A version that both partitions have to adopt."""
    engine.store.versions["quick", 1] = ("silent", load_plan(QUICK_PLAN).content)
    await engine.catalog.refresh()


async def test_who_only_adopts_a_version_does_not_stop_with_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its partition has no record in the batch that fails."""
    engine = Engine()
    await engine.claim()
    assert await engine.apply(p0="acme", p1="birch") == {0: 1, 1: 1}
    await publish(engine)

    def mistaken(*_: Any) -> Any:
        raise AssertionError("nobody thought of this")

    monkeypatch.setattr(batch, "apply_tick", mistaken)
    tick = SimpleNamespace(offset=1, timestamp=2_000, key=None, value=tick_value(2_000))
    await adopting(engine, {0: [tick], 1: []})
    assert [engine.store.leases[part].stopped for part in (0, 1)] == ["fold_failed", None]


@pytest.mark.parametrize("records", [0, 1, 30])
async def test_a_version_that_a_partition_cannot_adopt_costs_no_record_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, records: int
) -> None:
    """Even if the other one shares each of its batches, and only adopts as well, or is never idle."""
    engine = Engine()
    await engine.claim()
    await publish(engine)
    commit = engine.store.commit

    async def refusing(rows: Commit) -> None:
        if any(one.part == 1 for one in rows.adoptions):
            raise RowsRefused("nobody thought of this")
        await commit(rows)

    monkeypatch.setattr(engine.store, "commit", refusing)
    await adopting(engine, {0: [engine._record(0, "acme", ahead=n) for n in range(records)], 1: []})
    assert [engine.store.leases[part].stopped for part in (0, 1)] == [None, "rows_refused"]
    assert (engine.store.leases[0].next_offset, engine.store.dead_letters) == (records, [])
    assert [one.part for one in engine.store.adopted] == [0]


async def test_a_tick_that_the_database_can_never_take_stops_its_partition() -> None:
    """Nobody can do without a tick, and trying for ever helps nobody."""
    engine = Engine()
    checked = load_plan(QUICK_PLAN)
    engine.store.versions["quick", 1] = ("silent", checked.content)
    await engine.catalog.refresh()
    await engine.claim()
    assert await engine.apply(p0="cursed", p1="acme") == {0: 1, 1: 1}
    engine.store.refused = frozenset({"cursed"})
    tick = SimpleNamespace(offset=1, timestamp=2_000, key=None, value=tick_value())
    await settle(engine, {0: [tick], 1: [engine._record(1, "birch")]})
    assert engine.store.leases[0].stopped == "rows_refused"
    assert engine.store.leases[1].next_offset == 2
    assert engine.store.dead_letters == []
