"""Several engines, a zombie, a database that is away, a log that changed: one continuation, or a stop and an alarm."""

from __future__ import annotations

import asyncio
import signal
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from tests.fakes.engine_process import EngineProcess
from tests.fakes.engine_room import EngineRoom
from tests.waiting import until

PARTS = 4


async def owners(room: EngineRoom) -> set[int]:
    """Process ids that claimed a partition last."""
    rows = await room.database.fetch("SELECT DISTINCT owner FROM activation.partition_lease WHERE owner IS NOT NULL")
    return {int(row["owner"].rpartition("/")[2]) for row in rows}


async def applied(room: EngineRoom) -> dict[int, int]:
    """Offsets by partition."""
    return dict(await room.database.fetch("SELECT part, next_offset FROM activation.partition_lease"))


async def recorded(room: EngineRoom) -> int:
    """Signals in the ledger."""
    return int(await room.database.fetchval("SELECT count(*) FROM activation.ledger"))


async def owned_by(room: EngineRoom, *engines: EngineProcess) -> None:
    """Wait until exactly these engines own partitions."""
    wanted = {engine.process.pid for engine in engines}

    async def so() -> bool:
        return await owners(room) == wanted

    await until(so, what=f"owned by {wanted}")


async def more_recorded(room: EngineRoom, count: int = 60) -> None:
    """Wait until the ledger has grown."""
    goal = await recorded(room) + count

    async def so() -> bool:
        return await recorded(room) >= goal

    await until(so, what=f"{count} more signals")


async def finish(room: EngineRoom) -> None:
    """Everything is applied and published, and is what a plain fold gives."""
    await until(room.caught_up, what="all applied and published")
    assert await room.check_against_oracle() > 100


async def metrics(engine: EngineProcess) -> str:
    """The engine's metrics page."""
    async with httpx.AsyncClient() as client:
        return (await client.get(await asyncio.to_thread(engine.metrics_url))).text


async def test_partitions_move_between_engines_under_load(room: EngineRoom) -> None:
    """A second engine takes its share, the first leaves, the second carries on."""
    async with room.load():
        first = room.start(group="pair")
        await more_recorded(room)
        second = room.start(group="pair")
        await owned_by(room, first, second)
        await more_recorded(room)
        first.signal(signal.SIGTERM)
        assert await first.end() == 0
        await owned_by(room, second)
        await more_recorded(room)
    await finish(room)


async def test_two_engines_that_both_own_everything_do_no_harm(room: EngineRoom) -> None:
    """In different groups each believes to be alone: stamps decide, nothing is lost or doubled, work goes on."""
    async with room.load():
        first, second = room.start(), room.start()

        async def both_lost_once() -> bool:
            pages = [await metrics(engine) for engine in (first, second)]
            return not any("firstvalue_engine_lease_conflicts_total 0.0" in page for page in pages)

        await until(both_lost_once, what="each has lost a compare-and-set")
        await more_recorded(room, 60)
    second.kill()
    await finish(room)


async def test_a_zombie_changes_nothing(room: EngineRoom) -> None:
    """Stopped past its session's end and woken up, an engine finds its stamps old."""
    async with room.load():
        zombie = room.start(group="zombie")
        await more_recorded(room)
        zombie.signal(signal.SIGSTOP)
        heir = room.start(group="zombie")
        await owned_by(room, heir)
        await more_recorded(room)
        zombie.signal(signal.SIGCONT)
        await owned_by(room, zombie, heir)
        await more_recorded(room)
    await finish(room)


async def test_a_database_that_drops_connections_and_goes_away(room: EngineRoom, servers: Any) -> None:
    """Connections cut at any moment and an outage end in one continuation, without a restart or a dead letter."""
    engine = room.start()
    name = urlsplit(room.database_url).path.lstrip("/")
    outside = await asyncpg.connect(servers.database_url)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'firstvalue-engine'"
    async with room.load():
        await more_recorded(room)
        for _ in range(3):
            await outside.execute(f"{cut} AND datname = $1", name)
            await more_recorded(room, 20)
        await outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await outside.execute(f"{cut} AND datname = $1", name)

        async def noticed() -> bool:
            return "assigned_partitions 0.0" in await metrics(engine)

        await until(noticed, what="the engine gives its partitions up")
        await outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await more_recorded(room)
    await outside.close()
    assert engine.process.poll() is None
    await finish(room)
    assert await room.database.fetchval("SELECT count(*) FROM activation.dead_letter") == 0


async def test_a_log_that_lost_records_stops_the_partition(room: EngineRoom) -> None:
    """Records deleted before they were applied: that partition stops and says so, the others go on."""
    engine = room.start()
    async with room.load():
        await more_recorded(room)
    await until(room.caught_up, what="all applied")
    engine.signal(signal.SIGTERM)
    await engine.end()
    before = await applied(room)
    for part in range(PARTS):
        for _ in range(5):
            await room.append(part, key=b"a", value=b"{")
    admin = AIOKafkaAdminClient(bootstrap_servers=room.kafka)
    await admin.start()
    place = TopicPartition(room.events_topic, 0)
    await admin.delete_records({place: RecordsToDelete(before_offset=before[0] + 3)})
    await admin.close()
    successor = room.start()

    async def others_applied() -> bool:
        now = await applied(room)
        return all(now[part] == before[part] + 5 for part in range(1, PARTS))

    async def told() -> bool:
        return 'stopped_partitions{reason="records_expired"} 1.0' in await metrics(successor)

    await until(others_applied, what="the other partitions go on")
    await until(told, what="the metrics tell of the partition that stopped")
    lease = await room.database.fetchrow("SELECT stopped, next_offset FROM activation.partition_lease WHERE part = 0")
    assert lease is not None
    assert tuple(lease) == ("records_expired", before[0])


async def test_a_recreated_topic_is_never_taken_for_the_old_one(room: EngineRoom) -> None:
    """Same name, same offsets, other records: the append time of the last applied record gives it away."""
    engine = room.start()
    for _ in range(5):
        await room.tick()
    await until(room.caught_up, what="all applied")
    engine.kill()
    await room.recreate_events_topic()
    for _ in range(8):
        await room.tick()
    room.start()

    async def all_stopped() -> bool:
        rows = await room.database.fetch("SELECT stopped, next_offset FROM activation.partition_lease")
        return [tuple(row) for row in rows] == [("recreated", 5)] * PARTS

    await until(all_stopped, what="every partition stopped where it was")
