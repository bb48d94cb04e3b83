"""What operators ask of a running engine: audits that find what is planted, signals sent again, letters requeued."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from typing import Any

import httpx
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.erasure import account_hash
from services.activation_engine.domain.encoding import decode, encode
from tests.fakes.engine_operator import ADMIN_KEY, WITH_ADMIN, Operator
from tests.fakes.engine_process import EngineProcess
from tests.fakes.engine_records import QUICK_PLAN, event_value
from tests.fakes.engine_room import EngineRoom
from tests.waiting import until

PARTS = 3


async def recorded(room: EngineRoom, count: int) -> None:
    """Wait for so many signals."""

    async def so() -> bool:
        return bool(await room.database.fetchval("SELECT count(*) >= $1 FROM activation.ledger", count))

    await until(so, timeout_seconds=30, what=f"{count} signals recorded")


async def has_letter(room: EngineRoom, reason: str) -> bool:
    """Whether a record was refused for this reason."""
    query = "SELECT count(*) > 0 FROM activation.dead_letter WHERE reason = $1"
    return bool(await room.database.fetchval(query, reason))


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
        known = await room.database.fetchrow("SELECT account_id, part FROM activation.account LIMIT 1")
        assert known is not None
        value = event_value(known["account_id"], "Data Imported", "elsewhere")
        await room.append((known["part"] + 1) % PARTS, key=known["account_id"].encode(), value=value)
        await until(lambda: has_letter(room, "wrong_partition"), timeout_seconds=30, what="a foreign account refused")
        await room.publish_plan(QUICK_PLAN.replace("count: 3", "count: 2"), version=2, policy="emit")
        result = await Operator(engine).audit(room)
    assert result["listed"] == []
    assert (result["differences"], result["complete"]) == (0, True)
    assert sum(one["accounts"] for one in result["partitions"]) > 20
    assert sum(one["signals"] for one in result["partitions"]) > 60
    assert (await differences_shown(engine)).endswith(" 0.0")


async def test_an_audit_lists_what_is_stored_otherwise(room: EngineRoom) -> None:
    """Each kind of difference, planted once, is listed with its account; what is right is not."""
    engine = room.start(**WITH_ADMIN)
    async with room.load(accounts=20, events_per_second=200):
        await recorded(room, 60)
    await until(room.caught_up, timeout_seconds=20, what="all applied")
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


async def test_an_audit_of_a_log_that_was_cut_compares_what_came_since(room: EngineRoom) -> None:
    """Accounts that enrolled since then are compared as ever; of older ones only rows with their states. It says how
    many of each there are."""
    engine = room.start(**WITH_ADMIN)
    async with room.load(accounts=20, events_per_second=200):
        await recorded(room, 60)
    await until(room.caught_up, timeout_seconds=20, what="all applied")
    old = {row["account_id"] for row in await room.database.fetch("SELECT account_id FROM activation.account")}
    await cut_log(room)

    async def many_new() -> bool:
        new = "SELECT count(*) >= 30 FROM activation.account WHERE account_id <> ALL($1::text[])"
        return bool(await room.database.fetchval(new, list(old)))

    async with room.load(accounts=6, events_per_second=300):
        await until(many_new, timeout_seconds=40, what="30 new accounts")
    await until(room.caught_up, timeout_seconds=20, what="all applied again")
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


async def test_signals_are_sent_again_by_the_owner_whoever_is_asked(room: EngineRoom) -> None:
    """A replica that does not own the partition is asked; the range comes again there, and nothing else of old."""
    engines = [room.start(group="pair", **WITH_ADMIN) for _ in range(2)]

    async def both_own() -> bool:
        owners = "SELECT count(DISTINCT owner) FROM activation.partition_lease"
        return bool(await room.database.fetchval(owners) == 2)

    # A takeover in the middle of the repetition would rightly begin it anew.
    await until(both_own, timeout_seconds=40, what="each engine owns partitions")
    nothing_yet = await Operator(engines[0]).ask("POST", "/v1/partitions/0/republish", {"from_seq": 1})
    assert (nothing_yet.status_code, nothing_yet.json()["code"]) == (422, "range_outside_ledger")
    assert nothing_yet.json()["message"] == "The partition's first signal is still to come."
    async with room.load(events_per_second=200):
        await recorded(room, 60)
    await until(room.caught_up, timeout_seconds=20, what="all applied and published")
    lease = await room.database.fetchrow("SELECT * FROM activation.partition_lease ORDER BY out_seq DESC LIMIT 1")
    assert lease is not None
    part, owner = lease["part"], int(lease["owner"].rpartition("/")[2])
    other = Operator(next(engine for engine in engines if engine.process.pid != owner))
    before = Counter(_numbers(await room.records(room.signals_topic), part))
    job = await other.job("POST", f"/v1/partitions/{part}/republish", {"from_seq": 3, "to_seq": 7})
    assert (job["state"], job["done"], job["result"]) == ("done", 5, {"republished": 5})
    after = Counter(_numbers(await room.records(room.signals_topic), part))
    # A takeover may repeat the newest ones meanwhile.
    old = {seq: count for seq, count in (after - before).items() if seq <= lease["out_seq"] // 2}
    assert old == dict.fromkeys(range(3, 8), 1)
    beyond = await other.ask("POST", f"/v1/partitions/{part}/republish", {"from_seq": lease["out_seq"] + 1})
    assert (beyond.status_code, beyond.json()["code"]) == (422, "range_outside_ledger")
    unknown = await other.ask("POST", "/v1/partitions/99/republish", {"from_seq": 1})
    assert unknown.json()["code"] == "partition_unknown"


def _numbers(records: dict[int, list[Any]], part: int) -> list[int]:
    return [int(dict(record.headers)["seq"]) for record in records[part]]


async def test_a_dead_letter_is_listed_and_requeued_once(room: EngineRoom) -> None:
    """The same bytes go to the same partition; asked twice it is appended once, unless again."""
    engine = room.start(**WITH_ADMIN)
    operator = Operator(engine)
    await room.append(1, key=b"acme", value=b'{"v": 7, "deep": [1]}')
    await room.append(1, key=b"\xff", value=b"\xfe{")

    async def listed() -> bool:
        return len((await operator.ask("GET", "/v1/dead-letters")).json()["data"]) == 2

    await until(listed, timeout_seconds=20, what="two dead letters")
    newest, oldest = (await operator.ask("GET", "/v1/dead-letters?part=1")).json()["data"]
    assert (oldest["reason"], oldest["key"], oldest["value"]) == ("unknown_version", "acme", {"v": 7, "deep": [1]})
    assert (newest["key"], newest["key_base64"], newest["value"], newest["value_base64"]) == (
        None,
        "/w==",
        None,
        "/ns=",
    )
    page = (await operator.ask("GET", "/v1/dead-letters?limit=1")).json()
    following = (await operator.ask("GET", f"/v1/dead-letters?limit=1&cursor={page['next']}")).json()
    assert [page["data"][0]["id"], following["data"][0]["id"]] == [newest["id"], oldest["id"]]
    assert (await operator.ask("GET", "/v1/dead-letters?reason=no_value")).json()["data"] == []
    path = f"/v1/dead-letters/{oldest['id']}/requeue"
    first, second = [(await operator.ask("POST", path)).json() for _ in range(2)]
    assert (first["changed"], second) == (True, {**first, "changed": False})
    again = (await operator.ask("POST", f"{path}?again=true")).json()
    assert again["requeued_offset"] == first["requeued_offset"] + 1
    log = (await room.records(room.events_topic))[1]
    assert [(record.key, record.value) for record in log if record.offset >= first["requeued_offset"]] == [
        (b"acme", b'{"v": 7, "deep": [1]}')
    ] * 2
    unknown = await operator.ask("POST", "/v1/dead-letters/999/requeue")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "dead_letter_unknown")


async def test_a_record_on_a_wrong_partition_is_requeued_to_that_of_its_account(room: EngineRoom) -> None:
    """Where it was it would be refused again."""
    engine = room.start(**WITH_ADMIN)
    operator = Operator(engine)
    for part, name in ((0, "Page Viewed"), (2, "Data Imported")):
        await room.append(part, key=b"acme", value=event_value("acme", name, f"on-{part}"))
    await until(lambda: has_letter(room, "wrong_partition"), timeout_seconds=20, what="one of them refused")
    (letter,) = (await operator.ask("GET", "/v1/dead-letters")).json()["data"]
    home = 2 - letter["partition"]
    done = (await operator.ask("POST", f"/v1/dead-letters/{letter['id']}/requeue")).json()
    assert (done["changed"], done["partition"]) == (True, home)
    await until(room.caught_up, timeout_seconds=20, what="all applied")
    applied = await room.database.fetchval(
        "SELECT sum(CAST(counts ->> 'applied' AS int)) FROM activation.partition_lease"
    )
    assert applied == 2
