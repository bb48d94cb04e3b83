"""The stores that keep the same promises: PostgreSQL's, empty before each test, and the one in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from services.activation_engine.postgres_store import PostgresStore
from services.activation_engine.store import (
    Store,
)
from services.runtime import postgres
from tests.fakes.memory_store import MemoryStore
from tests.migrated import migrate

_TABLES = (
    "partition_lease, account, account_plan, ledger, plan_version, partition_plan, event_name, dead_letter, tombstone"
)


@pytest.fixture(scope="module")
def schema(database_url: str) -> str:
    migrate(database_url, "activation")
    return database_url


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    engine = postgres.connect(request.getfixturevalue("schema"), service="test", connections_max=2)
    async with engine.begin() as connection:
        tables = ", ".join(f"activation.{name}" for name in _TABLES.split(", "))
        await connection.execute(sa.text(f"TRUNCATE {tables}"))
    yield PostgresStore(engine)
    await engine.dispose()
