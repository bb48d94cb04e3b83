"""What operators ask of a running engine besides audits: signals sent again, letters requeued."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.fakes.engine_operator import WITH_ADMIN, Operator, has_letter, recorded
from tests.fakes.engine_records import event_value
from tests.fakes.engine_room import EngineRoom
from tests.waiting import until

PARTS = 3


async def test_signals_are_sent_again_by_the_owner_whoever_is_asked(room: EngineRoom) -> None:
    """A replica that does not own the partition is asked; the range comes again there, and nothing else of old."""
    engines = [room.start(group="pair", **WITH_ADMIN) for _ in range(2)]

    async def both_own() -> bool:
        owners = "SELECT count(DISTINCT owner) FROM activation.partition_lease"
        return bool(await room.database.fetchval(owners) == 2)

    # A takeover in the middle of the repetition would rightly begin it anew.
    await until(both_own, what="each engine owns partitions")
    nothing_yet = await Operator(engines[0]).ask("POST", "/v1/partitions/0/republish", {"from_seq": 1})
    assert (nothing_yet.status_code, nothing_yet.json()["code"]) == (422, "range_outside_ledger")
    assert nothing_yet.json()["message"] == "The partition's first signal is still to come."
    async with room.load(events_per_second=200):
        await recorded(room, 60)
    await until(room.caught_up, what="all applied and published")
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

    await until(listed, what="two dead letters")
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
    await until(lambda: has_letter(room, "wrong_partition"), what="one of them refused")
    (letter,) = (await operator.ask("GET", "/v1/dead-letters")).json()["data"]
    home = 2 - letter["partition"]
    done = (await operator.ask("POST", f"/v1/dead-letters/{letter['id']}/requeue")).json()
    assert (done["changed"], done["partition"]) == (True, home)
    await until(room.caught_up, what="all applied")
    applied = await room.database.fetchval(
        "SELECT sum(CAST(counts ->> 'applied' AS int)) FROM activation.partition_lease"
    )
    assert applied == 2
