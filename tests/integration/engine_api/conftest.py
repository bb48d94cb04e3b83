"""The engine's API in process, on a real database whose rows the tests write as a partition's owner would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

import services.activation_engine
from services.activation_engine.api import new_engine_api
from services.runtime.access import Scope, generate_key, hash_key
from services.runtime.key_ring import KeyRing
from services.runtime.migrations import upgrade
from services.runtime.postgres import connect
from tests.integration.engine_api.partition_rows import PARTITIONS, PartitionRows

ADMIN_KEY = "an admin key"
MIGRATIONS = Path(services.activation_engine.__file__).parent / "migrations"

# The columns of the key table that a key ring reads; the table itself is another service's.
_KEY_TABLE = """
CREATE SCHEMA ingest;
CREATE TABLE ingest.api_key (id text PRIMARY KEY, name text, scopes text[], secret_hash bytea,
    created_at timestamptz DEFAULT now(), expires_at timestamptz, revoked_at timestamptz);
"""


@dataclass(frozen=True)
class Api:
    """A client with the admin key, the rows behind it, and a way to other keys."""

    http: httpx.AsyncClient
    rows: PartitionRows
    key_with: Callable[[Scope], Awaitable[str]]


@pytest.fixture(scope="module")
def migrated(database_url: str) -> str:
    """This module's database with the engine's tables and an empty key table."""

    async def create_key_table() -> None:
        engine = connect(database_url, service="test")
        async with engine.begin() as connection:
            for statement in _KEY_TABLE.strip().split(";\n"):
                await connection.execute(sa.text(statement))
        await engine.dispose()

    def prepare() -> None:
        upgrade(database_url, schema="activation", folder=MIGRATIONS)
        asyncio.run(create_key_table())

    # In a thread, because both run an event loop of their own.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(prepare).result()
    return database_url


@pytest.fixture
async def database(migrated: str) -> AsyncIterator[AsyncEngine]:
    """A pool on the module's database, empty but for its tables."""
    engine = connect(migrated, service="test")
    async with engine.begin() as connection:
        for table in ("partition_lease", "account", "account_plan", "ledger", "plan_version", "partition_plan"):
            await connection.execute(sa.text(f"TRUNCATE activation.{table}"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def api(database: AsyncEngine) -> AsyncIterator[Api]:
    """The app over the database, with every partition claimed and nothing else."""
    keys = KeyRing(database, admin_key=ADMIN_KEY, pepper="")

    async def key_with(scope: Scope) -> str:
        key_id, key = generate_key()
        async with database.begin() as connection:
            await connection.execute(
                sa.text(
                    "INSERT INTO ingest.api_key (id, name, scopes, secret_hash) VALUES (:id, 'test', :scopes, :hash)"
                ),
                {"id": key_id, "scopes": [scope.value], "hash": hash_key(key, pepper="")},
            )
        await keys.refresh()
        return key

    rows = PartitionRows(database)
    await rows.claim_all()
    app = new_engine_api(reads=database, keys=keys, partitions=lambda: PARTITIONS)
    transport = httpx.ASGITransport(app=app)
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://engine", headers=headers) as client:
        yield Api(client, rows, key_with)
