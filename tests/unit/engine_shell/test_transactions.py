"""A batch of several partitions commits whole or not at all, whatever happens while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from schemas.erasure import account_hash
from services.activation_engine import batch, transactions
from services.activation_engine.commit_plan import ROWS_PER_STEP, Outward
from services.activation_engine.domain.encoding import STATE_BYTES_ALARM, STATE_BYTES_SOFT, decode
from services.activation_engine.leases import Leases
from services.activation_engine.log_probe import Checked
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.plan_adoption import PlanCatalog
from services.activation_engine.plans.loader import load_plan
from services.activation_engine.relay import Relay
from services.activation_engine.store import Commit, Due, DueQuery, Lease, StoredAccount, StoreUnavailable
from services.activation_engine.transactions import Transactions
from services.runtime.producers import ProducerKeeper
from tests.fakes.engine_records import QUICK_PLAN, command_value, event_value, tick_value
from tests.fakes.memory_store import MemoryStore


class SameLog:
    """A log that still is what was applied, from offset `begin` on, and goes on."""

    begin = 0

    async def check(self, leases: Sequence[Lease]) -> dict[int, Checked]:
        return {lease.part: Checked(lease.next_offset, waiting=True, begins_at=self.begin) for lease in leases}


class Engine:
    """An owner of partitions 0 and 1, without a consumer."""

    def __init__(self, *, due_accounts_max: int = 10) -> None:
        self.store, self.log = MemoryStore(), SameLog()
        metrics = self.metrics = EngineMetrics(CollectorRegistry())
        keeper = ProducerKeeper(make=lambda: None, topics=())
        relay = Relay(store=self.store, keeper=keeper, topic="signals", metrics=metrics, rows_max=10)
        self.catalog = PlanCatalog(self.store)
        self.leases = Leases(
            store=self.store,
            probe=cast(Any, self.log),
            catalog=self.catalog,
            relay=relay,
            metrics=metrics,
            owner="me",
            heartbeat_seconds=0,
            accounts_cached_max=100,
        )
        self.transactions = Transactions(
            store=self.store,
            leases=self.leases,
            catalog=self.catalog,
            relay=relay,
            metrics=metrics,
            outward=Outward(),
            due_accounts_max=due_accounts_max,
        )

    async def claim(self) -> None:
        await self.store.create_leases(2, source="events")
        self.leases.assign([0, 1])
        await self.leases.claim([0, 1])

    async def apply(self, **accounts: str) -> dict[int, int]:
        """One event of each account, in the partition that its key names after `p`."""
        taken = {int(part[1:]): [self._record(int(part[1:]), account)] for part, account in accounts.items()}
        return await self.transactions.apply(taken, {})

    async def apply_many(self, events: int) -> dict[int, int]:
        """The first events of that many accounts, in partition 0."""
        return await self.transactions.apply({0: [self._record(0, f"a{n}", ahead=n) for n in range(events)]}, {})

    def _record(self, part: int, account: str, *, ahead: int = 0) -> Any:
        offset = self.leases.held[part].lease.next_offset + ahead
        value = event_value(account, "Opened", f"m{part}-{offset}", at_ms=1_000)
        return SimpleNamespace(offset=offset, timestamp=1_000, key=account.encode(), value=value)

    def large_states(self, above_bytes: int) -> float:
        """How many account rows with more bytes were counted."""
        sample = self.metrics.registry.get_sample_value
        return sample("firstvalue_engine_large_states_total", {"above_bytes": str(above_bytes)}) or 0.0

    def refused(self) -> list[tuple[int, str]]:
        return [(letter.part, letter.reason) for letter in self.store.dead_letters]


async def test_two_batches_at_once_share_no_partition() -> None:
    """The second would begin from what the first has not committed yet; after the first it may come."""
    engine = Engine()
    await engine.claim()
    batch = asyncio.create_task(engine.apply(p0="acme"))
    await asyncio.sleep(0)
    with pytest.raises(AssertionError, match="under way"):
        await engine.apply(p0="birch", p1="cedar")
    assert await batch == {0: 1}
    assert await engine.apply(p0="birch", p1="cedar") == {0: 1, 1: 1}


async def test_a_batch_that_loses_its_partitions_changes_nothing() -> None:
    """Whenever the revocation comes: nothing is committed, nothing is held, and the engine lives on."""
    survived = 0
    for awaits in range(1, 40):
        engine = Engine()
        await engine.claim()
        stored = dict(engine.store.leases)
        batch = asyncio.create_task(engine.apply(p0="acme", p1="birch"))
        for _ in range(awaits):
            await asyncio.sleep(0)
        await engine.leases.revoke(within_seconds=1)
        consumed = await batch
        assert engine.leases.held == {}
        if engine.store.leases == stored:
            assert consumed == {}
            assert engine.store.accounts == {}
        else:
            survived += 1
            assert set(engine.store.accounts) == {"acme", "birch"}
    assert 0 < survived < 39


@pytest.mark.parametrize("lost", [False, True])
async def test_one_batch_is_made_while_another_one_commits(monkeypatch: pytest.MonkeyPatch, *, lost: bool) -> None:
    """It then commits in turn, whatever became of the other one, whose partition alone is forgotten if it was lost."""
    engine, answered = Engine(), asyncio.Event()
    await engine.claim()
    commit = engine.store.commit

    async def slow(rows: Commit) -> None:
        if rows.leases[0][1].part == 0:
            await answered.wait()
            if lost:
                raise StoreUnavailable
        await commit(rows)

    monkeypatch.setattr(engine.store, "commit", slow)
    first = asyncio.create_task(engine.apply(p0="acme"))
    second = asyncio.create_task(engine.apply(p1="birch"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert engine.leases.held[1].accounts.get("birch") is not None
    assert engine.store.accounts == {}
    answered.set()
    assert (await first, await second) == ({} if lost else {0: 1}, {1: 1})
    assert set(engine.store.accounts) == ({"birch"} if lost else {"acme", "birch"})
    assert set(engine.leases.held) == ({1} if lost else {0, 1})


async def test_an_account_keeps_its_facts_when_two_partitions_name_it_in_one_batch() -> None:
    """The partition that has it goes on with it, the record in the other one is refused."""
    for wrong in (0, 1):
        engine = Engine()
        await engine.claim()
        await engine.apply(**{f"p{1 - wrong}": "acme"})
        first = engine.store.accounts["acme"].facts
        await engine.leases.revoke(within_seconds=1)
        await engine.claim()
        assert await engine.apply(p0="acme", p1="acme") == {0: 1, 1: 1}
        assert engine.refused() == [(wrong, "wrong_partition")]
        assert (engine.store.accounts["acme"].part, engine.store.accounts["acme"].facts) == (1 - wrong, first)


async def test_a_new_account_in_two_partitions_at_once_belongs_to_the_first() -> None:
    """Were both to make it, neither could ever commit."""
    engine = Engine()
    await engine.claim()
    assert await engine.apply(p0="acme", p1="acme") == {0: 1, 1: 1}
    assert engine.refused() == [(1, "wrong_partition")]
    assert engine.store.accounts["acme"].part == 0


async def test_a_transaction_erases_a_bounded_number_of_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many partitions it has; in the end all are erased."""
    monkeypatch.setattr(transactions, "ERASURES_MAX", 3)
    engine = Engine()
    await engine.claim()
    records = {
        part: [
            SimpleNamespace(
                offset=number, timestamp=1_000, key=b"a%d-%d" % (part, number), value=_erasure(f"a{part}-{number}")
            )
            for number in range(2)
        ]
        for part in (0, 1)
    }
    assert await engine.transactions.apply(records, {}) == {0: 2, 1: 1}
    assert await engine.transactions.apply({1: records[1][1:]}, {}) == {1: 1}
    assert len(engine.store.tombstones) == 4


def _erasure(account: str) -> bytes:
    return command_value(account, "erase", f"erase-{account}", at_ms=1_000)


@pytest.mark.parametrize("due_max", [1, 4, 100])
async def test_a_transaction_looks_at_a_bounded_number_of_accounts(
    due_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Due at its ticks, however many partitions it has; in the end each was looked at. Those of records that wait for
    such a tick are not loaded meanwhile."""
    asked, loaded = list[int](), list[str]()
    engine = Engine(due_accounts_max=due_max)
    load_due, load_accounts = engine.store.load_due, engine.store.load_accounts

    async def noted(queries: Sequence[DueQuery]) -> list[Due]:
        asked.append(sum(one.limit for one in queries))
        return await load_due(queries)

    async def noted_too(account_ids: Collection[str]) -> list[StoredAccount]:
        loaded.extend(account_ids)
        return await load_accounts(account_ids)

    monkeypatch.setattr(engine.store, "load_due", noted)
    monkeypatch.setattr(engine.store, "load_accounts", noted_too)
    engine.store.versions["quick", 1] = ("silent", load_plan(QUICK_PLAN).content)
    await engine.catalog.refresh()
    await engine.claim()
    taken = {part: [engine._record(part, f"a{part}-{n}", ahead=n) for n in range(3)] for part in (0, 1)}
    assert await engine.transactions.apply(taken, {}) == {0: 3, 1: 3}
    tick = SimpleNamespace(offset=3, timestamp=2_000, key=None, value=tick_value(2_000))
    waiting = {part: [tick, engine._record(part, f"z{part}", ahead=1)] for part in (0, 1)}
    while waiting:
        for part, count in (await engine.transactions.apply(waiting, {})).items():
            waiting[part] = waiting[part][count:]
        waiting = {part: left for part, left in waiting.items() if left}
    assert max(asked) <= max(due_max, 2)
    assert loaded.count("z0") <= 2
    checks = [decode(one, row.facts).next_check_ms for one, row in engine.store.accounts.items() if one[0] == "a"]
    assert all(check is None or check > 2_000 for check in checks)


async def test_event_names_are_limited_over_all_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one are those of the others, also after a restart; names above the limit are counted nowhere."""
    monkeypatch.setattr(batch, "NAMES_MAX", 2)
    engine = Engine()
    await engine.claim()

    async def happens(part: int, name: str) -> None:
        offset = engine.leases.held[part].lease.next_offset
        value = event_value(f"acme-{part}", name, f"m{part}-{offset}", at_ms=1_000)
        key = f"acme-{part}".encode()
        record = SimpleNamespace(offset=offset, timestamp=1_000, key=key, value=value)
        assert await engine.transactions.apply({part: [record]}, {}) == {part: 1}

    for part, name in ((0, "Opened"), (1, "Opened"), (1, "Closed"), (0, "Moved"), (0, "Closed")):
        await happens(part, name)
    await engine.leases.revoke(within_seconds=1)
    await engine.claim()
    await happens(1, "Moved")
    assert set(engine.store.names) == {(0, "Opened"), (0, "Closed"), (1, "Opened"), (1, "Closed")}


async def test_tombstones_of_records_that_expired_are_not_held() -> None:
    """No record of before can come any more; the row stays."""
    engine = Engine()
    engine.store.tombstones = {account_hash("acme"): (0, 6), account_hash("birch"): (0, 7)}
    engine.log.begin = 7
    await engine.claim()
    assert engine.leases.held[0].tombstones == {account_hash("birch"): 7}
    assert len(engine.store.tombstones) == 2


async def test_a_ledger_of_many_steps_has_no_gap() -> None:
    """However many signals a batch announces, they are numbered in one row."""
    engine = Engine()
    checked = load_plan(QUICK_PLAN)
    engine.store.versions["quick", 1] = ("silent", checked.content)
    await engine.catalog.refresh()
    await engine.claim()
    consumed = await engine.apply_many(2 * ROWS_PER_STEP + 1)
    assert consumed[0] == 2 * ROWS_PER_STEP + 1
    rows = engine.store.ledger[0]
    assert [row.seq for row in rows] == list(range(1, 2 * ROWS_PER_STEP + 2))
    assert engine.store.leases[0].out_seq == len(rows)


async def test_account_rows_that_outgrow_their_page_are_counted() -> None:
    """By what is written of them, above each limit."""
    engine = Engine()
    await engine.claim()
    for offset, traits in enumerate((1, 8, 10)):
        named = {f"t{number}": "x" * 200 for number in range(traits)}
        value = command_value("acme", "set", f"m{offset}", at_ms=1_000, traits=named)
        record = SimpleNamespace(offset=offset, timestamp=1_000, key=b"acme", value=value)
        assert await engine.transactions.apply({0: [cast(Any, record)]}, {})
    assert (engine.large_states(STATE_BYTES_SOFT), engine.large_states(STATE_BYTES_ALARM)) == (2.0, 1.0)
