"""The audit, of an engine at work and of one that died anywhere: it finds what is planted, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.erasure import account_hash
from services.activation_engine.domain.encoding import decode, encode
from services.activation_engine.operations.job_runner import Progress
from services.runtime.postgres import connect
from tests.fakes.engine_operator import ADMIN_KEY, WITH_ADMIN, Operator, has_letter, recorded
from tests.fakes.engine_process import EngineProcess
from tests.fakes.engine_records import QUICK_PLAN, event_value, now_ms
from tests.fakes.engine_room import EngineRoom
from tests.fakes.operations import operations_over
from tests.waiting import until

PARTS = 3
# Another milestone comes first: rows made by this version differ from those made before even where nothing happened.
NEXT_PLAN = QUICK_PLAN.replace("milestones:\n", "milestones:\n  look: {due: 1d, when: page.viewed}\n").replace(
    "events:\n", "events:\n  page.viewed: [Page Viewed]\n"
)


async def differences_shown(engine: EngineProcess) -> str:
    """The line of the metric."""
    async with httpx.AsyncClient() as client:
        page = (await client.get(await asyncio.to_thread(engine.metrics_url))).text
    return next(line for line in page.splitlines() if line.startswith("firstvalue_engine_audit_differences "))


async def test_an_audit_under_load_finds_nothing(room: EngineRoom) -> None:
    """While batches are cut anywhere, a plan version goes live and is swept, poison and foreign accounts come in."""
    engine = room.start(**WITH_ADMIN, FIRSTVALUE_ENGINE_BATCH_EVENTS_MAX="50", FIRSTVALUE_ENGINE_DUE_ACCOUNTS_MAX="5")
    async with room.load(events_per_second=200):
        await recorded(room, 60)
        for poison in (b"{", b'{"v": 7}', None):
            await room.append(0, key=b"acme", value=poison)
        # Not one of the load's, which may be erased before it.
        for part in (0, 1):
            await room.append(part, key=b"elsewhere", value=event_value("elsewhere", "Data Imported", f"on-{part}"))
        await until(lambda: has_letter(room, "wrong_partition"), what="a foreign account refused")
        await room.publish_plan(QUICK_PLAN.replace("count: 3", "count: 2"), version=2, policy="emit")
        result = await Operator(engine).audit(room)
    assert result["listed"] == []
    assert (result["differences"], result["complete"]) == (0, True)
    assert sum(one["accounts"] for one in result["partitions"]) > 20
    assert sum(one["signals"] for one in result["partitions"]) > 60
    assert (await differences_shown(engine)).endswith(" 0.0")


@pytest.mark.parametrize("swept", [False, True], ids=["due", "swept"])
async def test_an_audit_in_the_middle_of_a_tick_finds_only_what_is_planted(room: EngineRoom, swept: bool) -> None:
    """An engine died when it had decided the newest tick for some of the accounts. What it did not come to is right,
    and so is what it did."""
    engine = room.start()
    await room.tick()
    accounts = [f"acct-{number}" for number in range(30)]

    async def passed() -> bool:
        return now_ms() > overdue_ms

    async def adopted() -> bool:
        by = "SELECT count(*) FROM activation.partition_plan WHERE version = 2"
        return bool(await room.database.fetchval(by) == PARTS)

    for account in accounts:
        await room.send(account, "Opened")
    await room.producer.flush()
    overdue_ms = now_ms() + 3_000
    await until(room.caught_up, what="all applied")
    if swept:
        await room.publish_plan(NEXT_PLAN, version=2, policy="emit")
        await until(adopted, what="the version adopted")
    engine.kill()
    await until(passed, what="every deadline passed")
    await room.tick()
    dying = room.start(crash_at="engine.b6_adopted:3", FIRSTVALUE_ENGINE_DUE_ACCOUNTS_MAX="6")
    await dying.end()
    versions = "SELECT version, status FROM activation.account_plan"
    places = Counter((row["version"], row["status"]) for row in await room.database.fetch(versions))
    assert set(places) == {(1, "on_track"), (2 if swept else 1, "stalled")}
    result = await audited_without_engine(room)
    assert (result["listed"], result["complete"], result["audited"]) == ([], True, len(accounts))
    recorded_signals = await room.database.fetchval("SELECT count(*) FROM activation.ledger")
    assert sum(one["signals"] for one in result["partitions"]) == recorded_signals
    planted = []
    for status in ("on_track", "stalled"):
        of_status = "SELECT account_id FROM activation.account_plan WHERE status = $1 LIMIT 1"
        account = await room.database.fetchval(of_status, status)
        await room.database.execute("UPDATE activation.account SET owner = 'nobody' WHERE account_id = $1", account)
        planted.append(("account_row", account, "owner"))
    found = (await audited_without_engine(room))["listed"]
    assert sorted((one["kind"], one["account"], one["subject"]) for one in found) == sorted(planted)


async def audited_without_engine(room: EngineRoom) -> dict[str, Any]:
    """The result of an audit while no engine runs."""
    database = connect(room.database_url, service="test")
    try:
        return await operations_over(database, kafka=room.kafka, topic=room.events_topic).audit.run(Progress())
    finally:
        await database.dispose()


async def test_an_audit_lists_what_is_stored_otherwise(room: EngineRoom) -> None:
    """Each kind of difference, planted once, is listed with its account; what is right is not."""
    engine = room.start(**WITH_ADMIN)
    async with room.load(accounts=20, events_per_second=200):
        await recorded(room, 60)
    await until(room.caught_up, what="all applied")
    # The owner would write accounts again as they should be.
    engine.kill()
    planted = await plant(room)
    auditor = room.start(**WITH_ADMIN)
    status, result = await audited_by_command(auditor)
    assert status == 1
    listed = [(one["kind"], one["account"]) for one in result["listed"]]
    assert sorted(listed, key=str) == sorted([*planted, ("ledger_gap", None)], key=str)
    assert result["differences"] == len(listed)
    assert result["counts"] == dict(Counter(kind for kind, _ in listed))
    assert (await differences_shown(auditor)).endswith(f" {len(listed)}.0")
    # So that whoever was woken is not told that all is well by the next deploy, and is by the next audit anywhere.
    auditor.kill()
    another = room.start(**WITH_ADMIN)

    async def known() -> bool:
        return (await differences_shown(another)).endswith(f" {len(listed)}.0")

    await until(known, timeout_seconds=20, what="the differences that another process found")


async def test_an_audit_of_a_log_that_was_cut_compares_what_came_since(room: EngineRoom) -> None:
    """Accounts that enrolled since then are compared as ever; of older ones only rows with their states. It says how
    many of each there are."""
    engine = room.start(**WITH_ADMIN)
    async with room.load(accounts=20, events_per_second=200):
        await recorded(room, 60)
    await until(room.caught_up, what="all applied")
    old = {row["account_id"] for row in await room.database.fetch("SELECT account_id FROM activation.account")}
    await cut_log(room)

    async def many_new() -> bool:
        new = "SELECT count(*) >= 30 FROM activation.account WHERE account_id <> ALL($1::text[])"
        return bool(await room.database.fetchval(new, list(old)))

    async with room.load(accounts=6, events_per_second=300):
        await until(many_new, what="30 new accounts")
    await until(room.caught_up, what="all applied again")
    result = await Operator(engine).audit(room)
    assert (result["listed"], result["complete"]) == ([], False)
    assert {one["state"] for one in result["partitions"]} == {"compared_since"}
    assert result["audited"] > 20
    # Some of the old ones were erased since then, or have come anew.
    assert result["not_audited"] > len(old) // 2
    # The owner would write accounts again as they should be.
    engine.kill()
    planted = await plant_since(room, old)
    status, told = await audited_by_command(room.start(**WITH_ADMIN))
    assert status == 1
    assert sorted((one["kind"], one["account"]) for one in told["listed"]) == sorted(planted)


async def cut_log(room: EngineRoom) -> None:
    """As retention does: nothing that was applied so far is kept."""
    rows = await room.database.fetch("SELECT part, next_offset FROM activation.partition_lease")
    admin = AIOKafkaAdminClient(bootstrap_servers=room.kafka)
    await admin.start()
    places = {TopicPartition(room.events_topic, row["part"]): row["next_offset"] for row in rows}
    await admin.delete_records({place: RecordsToDelete(before_offset=offset) for place, offset in places.items()})
    await admin.close()


async def plant_since(room: EngineRoom, old: set[str]) -> list[tuple[str, str]]:
    """Change states, rows and signals of old accounts and of new ones; the kinds that can be found, with accounts."""
    database = room.database
    rows = await database.fetch(
        "SELECT a.account_id, facts, min(seq) FROM activation.account a JOIN activation.ledger USING (account_id)"
        " GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 3"
    )
    erased = {row["account_hash"] for row in await database.fetch("SELECT account_hash FROM activation.tombstone")}
    known = [(name, facts) for name, facts, _ in rows if account_hash(name) not in erased]
    older = [one for one in known if one[0] in old]
    # The newest first, for the first of them may have come before the first tick.
    newer = [one for one in reversed(known) if one[0] not in old]
    for account, facts in (older[0], newer[0]):
        state = decode(account, facts)
        state.facts.traits["plan_tier"] = (1, "planted", "gold")
        await database.execute("UPDATE activation.account SET facts = $2 WHERE account_id = $1", account, encode(state))
    unowned, _ = older[1]
    await database.execute("UPDATE activation.account SET owner = 'nobody' WHERE account_id = $1", unowned)
    for account, _ in (older[2], newer[1]):
        first = "(SELECT id FROM activation.ledger WHERE account_id = $1 ORDER BY seq LIMIT 1)"
        await database.execute(f"UPDATE activation.ledger SET id = gen_random_uuid() WHERE id = {first}", account)
    changed, renumbered = newer[0][0], newer[1][0]
    return [
        ("state", changed),
        ("account_row", unowned),
        ("signal_missing", renumbered),
        ("signal_unexpected", renumbered),
    ]


async def audited_by_command(engine: EngineProcess) -> tuple[int, dict[str, Any]]:
    """The exit status of `firstvalue ops audit`, and what it printed."""
    url = await asyncio.to_thread(engine.url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "ops", "audit", "--json"),
        env={**os.environ, "FIRSTVALUE_ENGINE_URL": url, "FIRSTVALUE_API_KEY": ADMIN_KEY},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, dict(json.loads(output))


async def plant(room: EngineRoom) -> set[tuple[str, str]]:
    """Change one account for each kind of difference; the kinds with their accounts."""
    database = room.database
    rows = await database.fetch(
        "SELECT account_id, part, facts FROM activation.account a WHERE (SELECT count(*) FROM activation.ledger l"
        " WHERE l.account_id = a.account_id) > 1 ORDER BY account_id LIMIT 7"
    )
    changed, dropped, row_changed, plan_changed, missing, rewritten, extra = (row["account_id"] for row in rows)
    state = decode(changed, rows[0]["facts"])
    state.facts.traits["plan_tier"] = (1, "planted", "gold")
    await database.execute("UPDATE activation.account SET facts = $2 WHERE account_id = $1", changed, encode(state))
    await database.execute("DELETE FROM activation.account WHERE account_id = $1", dropped)
    await database.execute("UPDATE activation.account SET owner = 'nobody' WHERE account_id = $1", row_changed)
    await database.execute("UPDATE activation.account_plan SET status = 'paused' WHERE account_id = $1", plan_changed)
    first = "(SELECT id FROM activation.ledger WHERE account_id = $1 ORDER BY seq LIMIT 1)"
    await database.execute(f"DELETE FROM activation.ledger WHERE id = {first}", missing)
    forged = b'{"type": "account.stalled", "account": {}}'
    await database.execute(f"UPDATE activation.ledger SET payload = $2 WHERE id = {first}", rewritten, forged)
    await database.execute(
        "WITH lease AS (UPDATE activation.partition_lease SET out_seq = out_seq + 1 WHERE part = $2 RETURNING out_seq)"
        " INSERT INTO activation.ledger (part, seq, id, account_id, type, payload, appended_ms)"
        " SELECT $2, out_seq, gen_random_uuid(), $1, 'account.stalled', $3, 1 FROM lease",
        extra,
        rows[6]["part"],
        b"{}",
    )
    return {
        ("state", changed),
        ("account_missing", dropped),
        ("account_row", row_changed),
        ("account_plan", plan_changed),
        ("signal_missing", missing),
        ("signal_changed", rewritten),
        ("signal_unexpected", extra),
    }
