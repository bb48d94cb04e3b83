"""What real servers stored outlives them, however they end."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from deploy.local.data_folder import DataFolder
from deploy.local.progress import Silence
from deploy.local.running import shared_servers, start_in_background, stop_running, wait_until_running
from tests.waiting import wait_until

_STORED = 200


async def _store(connection: dict[str, Any]) -> None:
    database = await asyncpg.connect(connection["database"])
    await database.execute(f"CREATE TABLE stored AS SELECT generate_series(1, {_STORED})")
    await database.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=connection["kafka"])
    await admin.start()
    await admin.create_topics([NewTopic("stored", num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=connection["kafka"], acks="all")
    await producer.start()
    await asyncio.gather(*[producer.send_and_wait("stored", str(number).encode()) for number in range(_STORED)])
    await producer.stop()


async def _count(connection: dict[str, Any]) -> tuple[int, int]:
    database = await asyncpg.connect(connection["database"], timeout=5)
    rows = await database.fetchval("SELECT count(*) FROM stored")
    await database.close()
    consumer = AIOKafkaConsumer("stored", bootstrap_servers=connection["kafka"], auto_offset_reset="earliest")
    records = 0
    try:
        await consumer.start()
        while records < _STORED:
            records += sum(map(len, (await consumer.getmany(timeout_ms=10_000)).values()))
    finally:
        await consumer.stop()
    return rows, records


def test_nothing_stored_is_lost_by_kills_and_stops(tmp_path: Path) -> None:
    """Killed with their supervisor, stopped by `down` or killed alone, servers come back at the same URLs with all."""
    data = DataFolder(tmp_path / "stack")
    with ThreadPoolExecutor(2) as pool:
        # Two at once: one starts the servers, the other finds them.
        first, second = pool.map(lambda _: shared_servers(data), range(2))
    assert first == second
    asyncio.run(_store(first))
    supervisor = psutil.Process(data.read_state()["supervisor"])
    family = supervisor.children(recursive=True)
    assert {"postgres", "java"} <= set(filter(None, map(_name, family)))
    supervisor.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(_name, family)), what="the end of the servers")

    assert start_in_background(data, "servers", progress=Silence()) == first
    assert asyncio.run(_count(first)) == (_STORED, _STORED)
    assert stop_running(data)

    # A killed server is started again under the supervisor that stays.
    assert start_in_background(data, "servers", progress=Silence()) == first
    try:
        for process in data.read_state()["processes"]:
            os.kill(process["pid"], signal.SIGKILL)
        assert asyncio.run(_eventually_counted(first)) == (_STORED, _STORED)
    finally:
        stop_running(data)
    assert wait_until_running(data, is_hopeless=lambda: True) is None


def _name(process: psutil.Process) -> str | None:
    """None once it has ended, which a backend of PostgreSQL may at any moment."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else process.name()
    except psutil.NoSuchProcess:
        return None


async def _eventually_counted(connection: dict[str, Any]) -> tuple[int, int]:
    async with asyncio.timeout(60):
        while True:
            try:
                return await _count(connection)
            except (OSError, asyncpg.PostgresError, KafkaError):
                await asyncio.sleep(0.1)
