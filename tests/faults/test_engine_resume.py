"""Partitions that stopped because their log changed: they stand until an operator decides, and then go on."""

from __future__ import annotations

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from tests.fakes.engine_operator import WITH_ADMIN, Operator
from tests.fakes.engine_process import EngineProcess
from tests.fakes.engine_records import QUICK_PLAN
from tests.fakes.engine_room import EngineRoom
from tests.waiting import until

PARTS = 2


async def leases(room: EngineRoom) -> dict[int, tuple[int, str | None]]:
    """By partition: the next offset, and why it is stopped."""
    rows = await room.database.fetch("SELECT part, next_offset, stopped FROM activation.partition_lease")
    return {row["part"]: (row["next_offset"], row["stopped"]) for row in rows}


async def reached(room: EngineRoom, wanted: dict[int, tuple[int, str | None]]) -> None:
    """Wait until these partitions stand like this."""

    async def so() -> bool:
        now = await leases(room)
        return all(now[part] == place for part, place in wanted.items())

    await until(so, what=f"leases {wanted}")


async def with_a_gap(room: EngineRoom) -> tuple[EngineProcess, int]:
    """An engine whose partition 0 stopped, and where: three of the ten records that follow are gone."""
    engine = room.start(**WITH_ADMIN)
    for _ in range(5):
        await room.tick()
    await until(room.caught_up, what="all applied")
    engine.kill()
    before = (await leases(room))[0][0]
    for _ in range(10):
        await room.tick()
    admin = AIOKafkaAdminClient(bootstrap_servers=room.kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(room.events_topic, 0): RecordsToDelete(before_offset=before + 3)})
    await admin.close()
    successor = room.start(**WITH_ADMIN)
    await reached(room, {0: (before, "records_expired"), 1: (before + 10, None)})
    return successor, before


async def test_a_stopped_partition_goes_on_where_an_operator_says(room: EngineRoom) -> None:
    """It stands still until then, through a restart too; the decision must be about what is so; what is skipped is
    told; the same engine claims it again within seconds; an audit says that it cannot compare it any more."""
    engine, before = await with_a_gap(room)
    operator = Operator(engine)
    wrong = await operator.ask("POST", "/v1/partitions/0/resume", {"from": "earliest", "reason": "tail_lost"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "reason_differs")
    outside = await operator.ask("POST", "/v1/partitions/0/resume", {"from": before, "reason": "records_expired"})
    assert (outside.status_code, outside.json()["code"]) == (422, "offset_outside_log")
    running = await operator.ask("POST", "/v1/partitions/1/resume", {"from": "latest", "reason": "records_expired"})
    assert (running.status_code, running.json()["code"]) == (409, "partition_not_stopped")
    await room.tick()
    await reached(room, {0: (before, "records_expired"), 1: (before + 11, None)})
    body = {"from": "earliest", "reason": "records_expired"}
    resumed = await operator.ask("POST", "/v1/partitions/0/resume", body)
    assert resumed.status_code == 200, resumed.text
    assert resumed.json()["skipped"] == {
        "from_offset": before,
        "to_offset": before + 3,
        "count": 3,
        "certain": True,
    }
    await reached(room, {0: (before + 11, None)})
    assert engine.process.poll() is None
    repeated = await operator.ask("POST", "/v1/partitions/0/resume", body)
    assert repeated.json()["code"] == "partition_not_stopped"
    audited = await operator.audit(room)
    states = {one["partition"]: one["state"] for one in audited["partitions"]}
    assert (states, audited["differences"]) == ({0: "log_incomplete", 1: "compared"}, 0)
    account = next(name for name in map(str, range(100)) if room.part_of(name) == 0)
    await room.send(account, "Data Imported")
    await room.producer.flush()
    await until(room.caught_up, what="signals published")
    await room.database.execute("DELETE FROM activation.ledger WHERE part = 0 AND seq = 1")
    assert (await operator.audit(room))["counts"] == {"ledger_gap": 1}


async def test_an_offset_inside_the_log_is_compared_with_the_record_before_it(room: EngineRoom) -> None:
    """Resumed at an offset while no engine runs, the next claim recognises the log and goes on from there."""
    engine, before = await with_a_gap(room)
    body = {"from": before + 6, "reason": "records_expired"}
    resumed = await Operator(engine).ask("POST", "/v1/partitions/0/resume", body)
    engine.kill()
    assert resumed.json()["skipped"]["count"] == 6
    times = [record.timestamp for record in (await room.records(room.events_topic))[0] if record.offset == before + 5]
    stored = await room.database.fetchval("SELECT last_append_ms FROM activation.partition_lease WHERE part = 0")
    place = (await leases(room))[0][0]
    assert place > before + 6 or [stored] == times
    room.start()
    await reached(room, {0: (before + 10, None)})


async def test_a_recreated_topic_is_applied_from_its_beginning(room: EngineRoom) -> None:
    """Offsets begin anew: nothing is skipped, and plan versions that were live stay so."""
    engine = room.start(**WITH_ADMIN)
    for _ in range(5):
        await room.tick()
    await until(room.caught_up, what="all applied")
    changed = QUICK_PLAN.replace("count: 3", "count: 2")
    await room.publish_plan(changed, version=2)
    assert await newest_place(room) == 5
    engine.kill()
    await room.recreate_events_topic()
    for _ in range(8):
        await room.tick()
    operator = Operator(room.start(**WITH_ADMIN))
    await reached(room, {0: (5, "recreated"), 1: (5, "recreated")})
    for part in range(PARTS):
        body = {"from": "earliest", "reason": "recreated"}
        resumed = await operator.ask("POST", f"/v1/partitions/{part}/resume", body)
        assert (resumed.json()["next_offset"], resumed.json()["skipped"]["count"]) == (0, 0), resumed.text
    await reached(room, {0: (8, None), 1: (8, None)})
    assert await newest_place(room) == 0
    await room.send("acme", "Data Imported")
    await room.producer.flush()

    async def announced() -> bool:
        query = "SELECT count(*) FROM activation.ledger WHERE type = 'account.milestone_reached'"
        return bool(await room.database.fetchval(query))

    await until(announced, what="a milestone by the plan that was live")


async def newest_place(room: EngineRoom) -> int:
    """The offset from which on version 2 is live, once it is so everywhere."""
    rows: list[Any] = []

    async def adopted() -> bool:
        rows[:] = await room.database.fetch("SELECT from_offset FROM activation.partition_plan WHERE version = 2")
        return len(rows) == PARTS

    await until(adopted, what="version 2 adopted")
    return max(int(row["from_offset"]) for row in rows)
