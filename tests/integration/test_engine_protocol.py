"""One engine on real Kafka and PostgreSQL: what comes in is applied once, what it announces recorded and published."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

from tests.fakes.engine_records import QUICK_PLAN, event_value
from tests.fakes.engine_room import EngineRoom
from tests.waiting import until

PARTS = 3


async def test_events_become_signals_once_and_a_drained_engine_leaves_nothing_open(room: EngineRoom) -> None:
    """Events, repeats, poison and ticks lead to what a plain fold leads to; SIGTERM finishes and exits with 0."""
    engine = room.start()
    async with room.load():
        await until(lambda: _ledger_has(room, 100), what="100 signals recorded")
        for poison in (b"{", b'{"v": 7}', None):
            await room.append(0, key=b"acme", value=poison)
        await room.append(1, key=b"other", value=event_value("acme", "Page Viewed", "x"))
    await until(room.caught_up, what="all applied and published")
    engine.signal(signal.SIGTERM)
    assert await engine.end() == 0, engine.log.read_text()
    assert await room.check_against_oracle() > 100
    reasons = await room.database.fetch("SELECT reason FROM activation.dead_letter ORDER BY reason")
    assert [row["reason"] for row in reasons] == ["key_mismatch", "no_value", "not_valid", "unknown_version"]
    behind = "SELECT count(*) FROM activation.partition_lease WHERE published_seq < out_seq"
    assert await room.database.fetchval(behind) == 0


async def test_the_smallest_bounds_change_nothing(room: EngineRoom) -> None:
    """Batches of seven, a cache of ten accounts, two timers of each of two partitions at a time, intake that waits for
    every fourth signal."""
    room.start(
        FIRSTVALUE_ENGINE_BATCH_EVENTS_MAX="7",
        FIRSTVALUE_ENGINE_ACCOUNTS_CACHED_MAX="10",
        FIRSTVALUE_ENGINE_DUE_ACCOUNTS_MAX="4",
        FIRSTVALUE_ENGINE_UNPUBLISHED_SIGNALS_MAX="4",
        FIRSTVALUE_ENGINE_RELAY_ROWS_MAX="2",
    )
    # Seven records at a time: a busy machine takes a minute for these, and would never be done with what comes for as
    # long as it takes.
    async with room.load(events_per_second=200, events_max=1_200):
        await until(lambda: _stalled(room, 40), timeout_seconds=120, what="40 accounts stalled")
    await until(room.caught_up, timeout_seconds=120, what="all applied and published")
    assert await room.check_against_oracle() > 150


async def test_a_published_version_is_adopted_within_a_second_and_swept(room: EngineRoom) -> None:
    """On every partition, from an offset on; accounts without any further event are judged by it at the next ticks."""
    room.start(FIRSTVALUE_ENGINE_DUE_ACCOUNTS_MAX="5")
    async with room.load(events_per_second=200):
        await until(lambda: _ledger_has(room, 50), what="50 signals recorded")
        # One of several, because a busy machine may hold up any single one.
        assert min([await _adoption_seconds(room, version) for version in (2, 3, 4)]) < 1.5

        async def swept() -> bool:
            old = "SELECT count(*) FROM activation.account_plan WHERE version < 4"
            return bool(await room.database.fetchval(old) == 0)

        await until(swept, what="every account brought up to version 4")
    await until(room.caught_up, what="all applied and published")
    assert await room.check_against_oracle() > 50


async def _adoption_seconds(room: EngineRoom, version: int) -> float:
    """From the publication of a version until every partition has adopted it."""
    await room.publish_plan(QUICK_PLAN.replace("count: 3", f"count: {version + 2}"), version=version, policy="emit")
    published = time.monotonic()

    async def adopted() -> bool:
        count = "SELECT count(*) FROM activation.partition_plan WHERE version = $1"
        return bool(await room.database.fetchval(count, version) == PARTS)

    await until(adopted, what="adopted everywhere")
    return time.monotonic() - published


async def test_a_value_that_postgresql_can_never_take_costs_one_record(room: EngineRoom) -> None:
    """The record becomes a dead letter, its partition and its account go on, and the log accounts for the rest."""
    await room.database.execute(
        "CREATE FUNCTION activation.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.last_event = 'Cursed' THEN RAISE 'no such value' USING ERRCODE = '22023'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON activation.account FOR EACH ROW"
        " EXECUTE FUNCTION activation.refuse()"
    )
    room.start()
    accounts = ("acme", "birch", "cedar", "doge")
    for account in accounts:
        await room.send(account, "Cursed" if account == "acme" else "Opened")

    async def refused() -> bool:
        return bool(await room.database.fetchval("SELECT count(*) FROM activation.dead_letter") == 1)

    await until(refused, what="the one record refused")
    # Not before: folded together, a later event might be the account's last.
    for account in accounts:
        await room.send(account, "Opened")
    await until(room.caught_up, what="all applied and published")
    letters = await room.database.fetch("SELECT part, reason FROM activation.dead_letter")
    assert [tuple(one) for one in letters] == [(room.part_of("acme"), "rows_refused")]
    assert await room.database.fetchval("SELECT count(*) FROM activation.account") == 4


async def test_a_stale_schema_or_a_missing_topic_is_refused_with_what_to_do(
    room: EngineRoom, fresh_database: Any
) -> None:
    """The process ends with status 1 and one clear line."""
    empty = await asyncio.to_thread(fresh_database, "empty")
    stale = room.start(DATABASE_URL=empty)
    assert await stale.end() == 1
    assert "run `firstvalue migrate` first" in stale.log.read_text()
    lonely = room.start(FIRSTVALUE_TOPIC_PREFIX="nowhere.")
    assert await lonely.end() == 1
    assert "Create the missing topics with `firstvalue topics`" in lonely.log.read_text()


async def test_started_without_a_database_it_is_live_and_ready_once_that_is_back(
    room: EngineRoom, servers: Any
) -> None:
    """Nothing has to be restarted; while it waits it is not ready, and it may be told to end."""
    name = urlsplit(room.database_url).path.lstrip("/")
    outside = await asyncpg.connect(servers.database_url)
    await outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    engine, impatient = room.start(), room.start()
    assert await _probe(engine, "livez") == 200
    assert await _probe(engine, "readyz") == 503
    await asyncio.to_thread(impatient.metrics_url)
    impatient.signal(signal.SIGTERM)
    assert await impatient.end() == 0
    await outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    await outside.close()

    async def ready() -> bool:
        return await _probe(engine, "readyz") == 200

    await until(ready, what="ready")
    await room.tick()
    await until(room.caught_up, what="applied")


async def test_started_without_a_broker_it_is_live_and_ends_when_asked(room: EngineRoom) -> None:
    """It waits, says for what, and is not ready."""
    engine = room.start(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert await _probe(engine, "livez") == 200
    assert await _probe(engine, "readyz") == 503

    async def said() -> bool:
        return "waiting_for_servers" in engine.log.read_text()

    await until(said, what="the log says that it waits")
    engine.signal(signal.SIGTERM)
    assert await engine.end() == 0


async def _probe(engine: Any, name: str) -> int:
    url = (await asyncio.to_thread(engine.metrics_url)).replace("metrics", name)
    async with httpx.AsyncClient() as client:
        return (await client.get(url, timeout=10)).status_code


async def _stalled(room: EngineRoom, count: int) -> bool:
    query = "SELECT count(*) >= $1 FROM activation.ledger WHERE type = 'account.stalled'"
    return bool(await room.database.fetchval(query, count))


async def _ledger_has(room: EngineRoom, count: int) -> bool:
    return bool(await room.database.fetchval("SELECT count(*) >= $1 FROM activation.ledger", count))
