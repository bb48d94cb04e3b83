"""What the protocol relies on in its database, asked of PostgreSQL and of the store in memory alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from services.activation_engine.domain.rows import PlanRow, days_key
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.postgres_store import PostgresStore
from services.activation_engine.store import (
    AccountElsewhere,
    Adoption,
    Commit,
    DeadLetter,
    DueQuery,
    LeaseLost,
    NameSeen,
    RowsRefused,
    Store,
    StoreUnavailable,
)
from services.runtime import postgres
from services.runtime.metrics import Instruments, SharedMetrics
from tests.conformance.rows import account, claimed, signal, step
from tests.fakes.memory_store import MemoryStore


async def test_a_claim_returns_what_was_committed(store: Store) -> None:
    """Every value of a lease, the adopted versions and the names seen survive a change of owner; names are of all
    partitions, for their number is limited together."""
    lease = await claimed(store)
    assert (lease.next_offset, lease.last_append_ms, lease.clock, lease.sweep_after) == (
        0,
        None,
        PartitionClock(),
        None,
    )
    assert lease.ledger_ms > 0
    known, moved = step(
        lease,
        next_offset=7,
        last_append_ms=99,
        out_seq=1,
        published_seq=1,
        clock=PartitionClock(50, 40, ((1, 2), (3, 4)), 60),
        sweep_after="m",
        counts={"applied": 5},
    )
    adoption = Adoption(0, "p", 2, 7, 99, "emit")
    names = [NameSeen(0, "Opened", 2, 10, 20)]
    await store.commit(Commit([(known, moved)], ledger=[signal(1)], adoptions=[adoption], names=names))
    claim = await store.claim(0, stamp=uuid4(), owner="you")
    assert replace(claim.lease, stamp=moved.stamp) == moved
    assert claim.adopted == (adoption,)
    assert claim.names == {"Opened"}
    assert (await store.claim(1, stamp=uuid4(), owner="you")).names == {"Opened"}


async def test_a_value_that_can_never_be_stored_is_told_apart(store: Store) -> None:
    """From a database that is away; nothing of the commit is written."""
    lease = await claimed(store)
    known, moved = step(lease, next_offset=1)
    with pytest.raises(RowsRefused):
        await store.commit(Commit([(known, moved)], accounts=[account("acme")._replace(name="a\0b")]))
    assert await store.load_accounts(["acme"]) == []
    await store.commit(Commit([(known, moved)], accounts=[account("acme")]))


async def test_an_old_stamp_changes_nothing(store: Store) -> None:
    """Whoever claims or commits makes every stamp known before worthless, for all partitions of the commit."""
    mine, other = await claimed(store), await claimed(store, 1)
    await store.claim(0, stamp=uuid4(), owner="you")
    commit = Commit([step(mine, next_offset=5), step(other, next_offset=6)], accounts=[account("acme")], ledger=[])
    with pytest.raises(LeaseLost):
        await store.commit(commit)
    assert await store.load_accounts(["acme"]) == []
    assert [(await store.claim(part, stamp=uuid4(), owner="x")).lease.next_offset for part in (0, 1)] == [0, 0]


async def test_a_stamp_is_used_up_by_its_commit(store: Store) -> None:
    """The same transaction sent twice is applied once."""
    commit = Commit([step(await claimed(store), next_offset=5)])
    await store.commit(commit)
    with pytest.raises(LeaseLost):
        await store.commit(commit)


async def test_an_account_of_another_partition_refuses_the_whole_commit(store: Store) -> None:
    """An account belongs to the partition that wrote it first."""
    first, second = await claimed(store), await claimed(store, 1)
    await store.commit(Commit([step(first)], accounts=[account("acme", 0)]))
    with pytest.raises(AccountElsewhere):
        await store.commit(Commit([step(second, next_offset=3)], accounts=[account("b", 1), account("acme", 1)]))
    assert [row.account_id for row in await store.load_accounts(["acme", "b"])] == ["acme"]
    assert (await store.claim(1, stamp=uuid4(), owner="x")).lease.next_offset == 0


async def test_due_accounts_come_in_order_and_say_when_there_are_more(store: Store) -> None:
    """By check time, then by id as Python sorts it; never those of other partitions; the first one left out is told."""
    lease, other = await claimed(store), await claimed(store, 1)
    rows = [account("b", check=5), account("Z", check=5), account("a", check=3), account("é", check=9), account("n")]
    await store.commit(Commit([step(lease), step(other)], accounts=[*rows, account("x", 1, 1)]))
    whole, cut, early = await store.load_due([DueQuery(0, 9, 10), DueQuery(0, 9, 2), DueQuery(0, 2, 10)])
    assert [row.account_id for row in whole.accounts] == ["a", "Z", "b", "é"]
    assert whole.more_from_ms is None
    assert [row.account_id for row in cut.accounts] == ["a", "Z"]
    assert cut.more_from_ms == 5
    assert early.accounts == ()
    assert whole.accounts[0].facts == b"facts of a"


async def test_a_sweep_walks_over_all_accounts_of_its_partition(store: Store) -> None:
    """In order of ids, a limit at a time, and it says when it is done."""
    lease, other = await claimed(store), await claimed(store, 1)
    rows = [account("c"), account("a"), account("b", check=1)]
    await store.commit(Commit([step(lease), step(other)], accounts=[*rows, account("x", 1)]))
    (first,) = await store.load_due([DueQuery(0, 0, 2, "")])
    (last,) = await store.load_due([DueQuery(0, 0, 2, "b")])
    assert ([row.account_id for row in first.sweep], first.sweep_done) == (["a", "b"], False)
    assert ([row.account_id for row in last.sweep], last.sweep_done) == (["c"], True)


async def test_the_ledger_is_read_in_order_within_bounds(store: Store) -> None:
    """By rows and by bytes, and at least one row whatever its size."""
    lease = await claimed(store)
    rows = [signal(1, payload=b"x" * 10), signal(2, payload=b"x" * 10), signal(3, payload=b"x" * 90)]
    await store.commit(Commit([step(lease, out_seq=3)], ledger=rows))

    async def read(after: int, rows_max: int = 10, bytes_max: int = 1_000) -> list[int]:
        found = await store.read_ledger(0, after=after, rows_max=rows_max, bytes_max=bytes_max)
        return [row.seq for row in found]

    assert await store.read_ledger(0, after=0, rows_max=10, bytes_max=1_000) == rows
    assert await read(1) == [2, 3]
    assert await read(0, rows_max=2) == [1, 2]
    assert await read(0, bytes_max=25) == [1, 2]
    assert await read(2, bytes_max=25) == [3]
    assert await read(3) == []
    assert await store.known_signals([rows[1].id, str(uuid4())]) == {rows[1].id}


async def test_a_repeated_signal_refuses_the_whole_commit(store: Store) -> None:
    """Neither an id nor a number of a partition comes a second time, whoever believes that it is new."""
    known, moved = step(await claimed(store), out_seq=1)
    row = signal(1)
    await store.commit(Commit([(known, moved)], ledger=[row]))
    for again in (replace(row, seq=2), signal(1)):
        with pytest.raises(StoreUnavailable):
            await store.commit(Commit([step(moved, next_offset=9)], ledger=[signal(3), again]))
    assert (await store.claim(0, stamp=uuid4(), owner="x")).lease.next_offset == 0
    assert await store.read_ledger(0, after=0, rows_max=10, bytes_max=1_000) == [row]


async def test_rows_for_queries_are_written_and_counted(store: Store) -> None:
    """One per account and plan; a later commit replaces it."""
    lease = await claimed(store)
    row = PlanRow("p", 1, "on_track", None, "smb", 1_000, None, None, {"data": 1_500})
    first = step(lease)
    await store.commit(Commit([first], plans=[("acme", row), ("b", row)]))
    second = step(first[1])
    stalled = PlanRow("p", 1, "stalled", "quiet", "smb", 1_000, None, None, {})
    await store.commit(Commit([second], plans=[("acme", stalled)]))
    assert await store.count_statuses() == {"on_track": 1, "stalled": 1}


async def test_columns_of_insights_are_replaced_too(schema: str, store: Store) -> None:
    """Core features, active days, the closing time and the last event: written, and written over."""
    lease = await claimed(store)
    days = {days_key(2**64 - 1, 800): (2_245_000_000, "80" + "00" * 10 + "01")}
    closed = PlanRow("p", 1, "closed", None, "smb", 1_000, None, None, {}, b"\x05\x80", 9_000, "output", "{[1,5),[7,)}")
    acme = account("acme")._replace(last_event="Report Generated", active_days=days)
    first = step(lease)
    await store.commit(Commit([first], accounts=[acme], plans=[("acme", closed)]))
    assert await _insights(store, schema) == (b"\x05\x80", 9_000, "output", "{[1,5),[7,)}", "Report Generated", days)
    reopened = PlanRow("p", 1, "on_track", None, "smb", 1_000, None, None, {})
    await store.commit(Commit([step(first[1])], accounts=[account("acme")], plans=[("acme", reopened)]))
    assert await _insights(store, schema) == (None, None, None, None, None, {})


async def _insights(store: Store, schema: str) -> tuple[object, ...]:
    if isinstance(store, MemoryStore):
        row = store.plans["acme", "p"]
        acme = store.accounts["acme"]
        return row.features, row.closed_at_ms, row.waiting_for, row.paused, acme.last_event, acme.active_days
    engine = postgres.connect(schema, service="test", connections_max=1)
    async with engine.connect() as connection:
        query = sa.text(
            "SELECT features, CAST(extract(epoch FROM closed_at) * 1000 AS int), waiting_for,"
            " CAST(paused AS text), last_event, active_days"
            " FROM activation.account_plan JOIN activation.account USING (account_id) WHERE account_id = 'acme'"
        )
        *found, days = (await connection.execute(query)).one()
    await engine.dispose()
    return *found, {key: tuple(value) for key, value in days.items()}


async def test_dead_letters_keep_what_came(store: Store) -> None:
    """Bytes that are no text are kept as they are."""
    letters = [
        DeadLetter(0, 3, "not_valid", "why", b"\xff", b"\x00\xfe", 9),
        DeadLetter(0, 4, "no_value", "w", b"a", None, 9),
    ]
    await store.commit(Commit([step(await claimed(store))], dead_letters=letters))
    if isinstance(store, MemoryStore):
        assert store.dead_letters == letters


async def test_a_stop_is_noted_under_the_stamp_only(store: Store) -> None:
    """A zombie cannot stop a partition, and a claim starts it again."""
    lease = await claimed(store)
    await store.stop_partition(0, stamp=uuid4(), reason="recreated")
    known, moved = step(lease)
    await store.commit(Commit([(known, moved)]))
    await store.stop_partition(0, stamp=moved.stamp, reason="recreated")
    assert (await store.claim(0, stamp=uuid4(), owner="x")).lease.stopped is None


async def test_a_zombie_waits_for_the_transaction_under_way_and_then_loses(schema: str) -> None:
    """PostgreSQL alone: a compare-and-set that meets a locked row sees the new stamp when the lock is gone."""
    engine = postgres.connect(schema, service="test", connections_max=3)
    store = PostgresStore(engine)
    lease = await claimed(store, 2)
    async with engine.connect() as claim:
        await claim.execute(sa.text("UPDATE activation.partition_lease SET stamp = gen_random_uuid() WHERE part = 2"))
        zombie = asyncio.create_task(store.commit(Commit([step(lease, next_offset=9)])))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        async with engine.connect() as watcher:
            while not await watcher.scalar(sa.text(waiting)):
                await watcher.rollback()
        await claim.commit()
    with pytest.raises(LeaseLost):
        await zombie
    await engine.dispose()


async def test_a_failed_call_is_counted_and_retryable() -> None:
    """A database that is away raises what asks for a retry, and the metric learns of it."""
    registry = CollectorRegistry()
    engine = postgres.connect("postgresql://nobody@127.0.0.1:1/none", service="test")
    SharedMetrics(Instruments(registry), service="test").watch_database(engine)
    with pytest.raises(StoreUnavailable):
        await PostgresStore(engine).claim(0, stamp=uuid4(), owner="me")
    assert registry.get_sample_value("firstvalue_db_errors_total", {"sqlstate_class": "connection"}) == 1
    await engine.dispose()
