"""Deliveries found by their time, and those that are held, without looking at all others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import sqlalchemy as sa

from services.notifier.app import MIGRATIONS, SCHEMA
from services.notifier.store.deliveries import DeliveryFilter, DeliveryStore
from services.notifier.store.replays import Wanted
from services.notifier.store.upkeep import UpkeepStore
from services.runtime.migrations import upgrade
from tests.notifier_tables import Owed
from tests.running_notifier import query
from tests.waiting import until

BEGIN = datetime(2026, 11, 20, 10, tzinfo=UTC)


async def add_over_hours(owed: Owed, *, uneven_seconds: int) -> None:
    """One a minute from BEGIN on, early or late by so much; every tenth is gone again."""
    await owed.add(240)
    await query(
        owed.servers,
        """UPDATE notifier.delivery d SET created_at = $1::timestamptz + n * interval '1 minute'
            + sin(n) * $2::int * interval '1 second'
        FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM notifier.delivery) AS numbered
        WHERE d.id = numbered.id""",
        BEGIN,
        uneven_seconds,
    )
    await query(owed.servers, "DELETE FROM notifier.delivery WHERE id % 10 = 3")


def at(minutes: float) -> datetime:
    """A time of the table, or outside of it."""
    return BEGIN + timedelta(minutes=minutes)


async def test_a_time_is_found_by_bisection(owed: Owed) -> None:
    """The first delivery from a time on; behind the last one, and of an empty table, an id that nothing has yet."""
    find = "SELECT notifier.delivery_id_at($1) AS id"
    assert (await query(owed.servers, find, BEGIN))[0]["id"] == 1
    await add_over_hours(owed, uneven_seconds=0)
    rows = await owed.rows()
    for minutes in (-5, 0, 1, 3, 3.5, 17, 120.1, 240, 241):
        later = [row["id"] for row in rows if row["created_at"] >= at(minutes)]
        (found,) = await query(owed.servers, find, at(minutes))
        assert rows[-1]["id"] < found["id"] if not later else (later[0] - 1 <= found["id"] <= later[0]), minutes


async def test_lists_and_replays_of_a_time_miss_nothing(owed: Owed) -> None:
    """Also where ids and times are not in the same order; a replay walks over no others than about those."""
    await add_over_hours(owed, uneven_seconds=280)
    rows = await owed.rows()
    store = DeliveryStore(owed.engine)
    for begin, end in ((at(-60), at(500)), (at(60), at(61)), (at(60), at(180)), (at(239), at(900)), (at(9), at(10))):
        expected = [row["id"] for row in rows if begin <= row["created_at"] < end]
        wanted = DeliveryFilter(endpoint_id=owed.endpoint_id, since=begin, until=end)
        found = await store.page(wanted, before=None, limit=500)
        assert [each.id for each in found] == expected[::-1]
        assert await store.page(DeliveryFilter(since=begin, until=end), before=None, limit=500) == found
        assert await owed.replays.count(Wanted(endpoint_id=owed.endpoint_id, since=begin, until=end)) == len(expected)
    number = await owed.begin(since=at(100), until=at(110))
    (replay,) = await query(owed.servers, "SELECT done_id, last_id FROM notifier.replay WHERE id = $1", number)
    assert replay["last_id"] - replay["done_id"] < 60
    assert await owed.replays.step(number) == len([row for row in rows if at(100) <= row["created_at"] < at(110)])


async def test_what_was_sent_about_an_account_is_found(owed: Owed) -> None:
    """Newest first; of what is about none, and of other accounts, nothing."""
    await owed.add(3)
    await query(owed.servers, "UPDATE notifier.message SET account_id = nullif(id, 'ep_by_hand-exhausted-2')")
    store = DeliveryStore(owed.engine)
    (found,) = await store.page(DeliveryFilter(account_id="ep_by_hand-exhausted-1"), before=None, limit=9)
    assert (found.message_id, found.account_id) == ("ep_by_hand-exhausted-1", "ep_by_hand-exhausted-1")
    everything = await store.page(DeliveryFilter(), before=None, limit=9)
    assert [each.account_id for each in everything] == ["ep_by_hand-exhausted-3", None, "ep_by_hand-exhausted-1"]
    assert await store.page(DeliveryFilter(account_id="acme"), before=None, limit=9) == []


async def test_only_what_the_backlog_holds_is_released(owed: Owed) -> None:
    """Of enabled endpoints; all held ones are counted."""
    held = "UPDATE notifier.delivery SET status = 'held', hold_reason = $2 WHERE id = $1"
    await owed.add(2)
    first, second = await owed.rows()
    upkeep = UpkeepStore(owed.engine)
    assert ((await upkeep.standing()).backlog_held, await upkeep.held()) == ((), 0)
    await query(owed.servers, held, first["id"], "disabled")
    assert ((await upkeep.standing()).backlog_held, await upkeep.held()) == ((), 1)
    await query(owed.servers, held, second["id"], "backlog")
    assert ((await upkeep.standing()).backlog_held, await upkeep.held()) == ((owed.endpoint_id,), 2)
    await query(owed.servers, "UPDATE notifier.endpoint SET enabled = false")
    assert (await upkeep.standing()).backlog_held == ()


async def test_their_migration_holds_up_no_delivery(owed: Owed) -> None:
    """An index takes minutes on a long table, and longer beside an open transaction. What an interrupted migration left
    is replaced."""
    await query(owed.servers, "DROP FUNCTION notifier.delivery_id_at")
    versions = "UPDATE notifier.alembic_version SET version_num = $1"
    newest = (await query(owed.servers, "SELECT version_num FROM notifier.alembic_version"))[0][0]
    await query(owed.servers, versions, "0007_received")
    index = "indexrelid = 'notifier.delivery_held'::regclass"
    await query(owed.servers, f"UPDATE pg_index SET indisvalid = false WHERE {index}")
    write = "UPDATE notifier.delivery SET attempts = 0 WHERE false"

    async def waits() -> bool:
        found = await query(
            owed.servers,
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'INDEX.*delivery_held'",
        )
        return bool(found)

    other = await asyncpg.connect(owed.servers.database_url)
    async with other.transaction():
        await other.execute(write)
        url, to = owed.servers.database_url, "0008_lookups"
        migration = asyncio.create_task(asyncio.to_thread(upgrade, url, schema=SCHEMA, folder=MIGRATIONS, revision=to))
        await until(waits)
        async with owed.engine.begin() as delivery:
            await delivery.execute(sa.text(write))
    await other.close()
    await migration
    await query(owed.servers, versions, newest)
    assert await query(owed.servers, f"SELECT FROM pg_index WHERE indisvalid AND {index}")
