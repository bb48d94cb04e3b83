"""What services ask of their schema before they start, of a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.migrations import StaleSchema, check_current, upgrade
from services.runtime.postgres import connect

_FOLDER = Path("services/notifier/migrations")


async def test_an_older_schema_is_refused_and_that_of_a_newer_release_is_not(
    fresh_database: Callable[[str], str],
) -> None:
    """Migrations only add: replicas of before may restart while an upgrade is under way, and one can go back."""
    url = await asyncio.to_thread(fresh_database, "versions")
    engine = connect(url, service="test")

    async def check() -> None:
        await check_current(engine, schema="notifier", folder=_FOLDER)

    async def be_at(revision: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(sa.text("UPDATE notifier.alembic_version SET version_num = :at"), {"at": revision})

    with pytest.raises(StaleSchema, match=r"is at nothing, .*: run `firstvalue migrate` first"):
        await check()
    await asyncio.to_thread(upgrade, url, schema="notifier", folder=_FOLDER)
    await check()
    await be_at("9999_of_a_newer_release")
    await check()
    await be_at("0001")
    with pytest.raises(StaleSchema, match=r"is at 0001, .*: run `firstvalue migrate` first"):
        await check()
    await engine.dispose()
