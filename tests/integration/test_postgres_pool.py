"""A connection that died in the pool is replaced before it is used; one that answered just now is not asked again."""

from __future__ import annotations

import logging

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.runtime import postgres

_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'firstvalue-pool'"


async def _backend(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0)


async def test_a_connection_that_died_while_idle_is_replaced(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uses it next notices nothing."""
    monkeypatch.setattr(postgres, "_TRUSTED_SECONDS", -1.0)
    engine = postgres.connect(database_url, service="pool", connections_max=1)
    first = await _backend(engine)
    assert await _backend(engine) == first
    cutter = await asyncpg.connect(database_url)
    await cutter.execute(_CUT)
    assert await _backend(engine) != first
    await cutter.close()
    await engine.dispose()


async def test_a_connection_that_dies_right_after_its_use_fails_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does that dies between a ping and its use; the whole pool is then new, and the library tells nobody."""
    caplog.set_level(logging.WARNING, "sqlalchemy")
    caplog.set_level(logging.INFO)
    engine = postgres.connect(database_url, service="pool", connections_max=1)
    first = await _backend(engine)
    cutter = await asyncpg.connect(database_url)
    await cutter.execute(_CUT)
    with pytest.raises(DBAPIError):
        await _backend(engine)
    assert await _backend(engine) != first
    await cutter.close()
    await engine.dispose()
    assert caplog.messages == []
