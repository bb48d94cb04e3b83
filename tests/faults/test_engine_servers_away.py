"""PostgreSQL and Kafka that die under the engine: the same process goes on, and loses and doubles nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.data_folder import DataFolder
from tests.fakes.engine_room import EngineRoom, engine_room
from tests.fakes.private_servers import pid_of
from tests.waiting import until

_BACKEND = "SELECT pid FROM pg_stat_activity WHERE application_name = 'firstvalue-engine' LIMIT 1"


@pytest.fixture
async def room(private: DataFolder, topic_prefix: str, tmp_path: Path) -> AsyncIterator[EngineRoom]:
    """A room on servers of its own."""
    at = private.read_state()["connection"]
    async with engine_room(
        database_url=at["database"], kafka=at["kafka"], prefix=topic_prefix, folder=tmp_path, parts=3
    ) as made:
        yield made


async def more_recorded(room: EngineRoom, count: int) -> None:
    """Wait until the ledger has grown, by a connection that survives the server's death."""
    count_signals = "SELECT count(*) FROM activation.ledger"
    goal: int | None = None

    async def so() -> bool:
        nonlocal goal
        try:
            if room.database.is_closed():
                room.database = await asyncpg.connect(room.database_url)
            recorded = int(await room.database.fetchval(count_signals))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return False
        goal = recorded + count if goal is None else goal
        return recorded >= goal

    await until(so, timeout_seconds=120, what=f"{count} more signals")


async def test_servers_die_and_return_under_load(private: DataFolder, room: EngineRoom) -> None:
    """A database that crashes twice and a broker killed with -9, while events come in: every signal that a plain fold
    of the log owes, once, in order."""
    await room.publish_plan()
    engine = room.start()
    async with room.load(events_per_second=200):
        for _ in range(2):
            await more_recorded(room, 40)
            # One killed connection makes the server drop all others and recover from its log.
            os.kill(int(await room.database.fetchval(_BACKEND)), signal.SIGKILL)
        await more_recorded(room, 40)
        broker = pid_of(private, "kafka")
        os.kill(broker, signal.SIGKILL)

        async def another() -> bool:
            return pid_of(private, "kafka") != broker

        # What was fetched before goes on being recorded meanwhile.
        await until(another, what="the broker started anew")
        await more_recorded(room, 120)
    await until(room.caught_up, what="all applied and published")
    assert await room.check_against_oracle() > 200
    assert engine.process.poll() is None
