"""The engine's API in process, on a real database whose rows the tests write as a partition's owner would."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.api import new_engine_api
from services.runtime.http_server import HttpServer
from services.runtime.key_ring import KeyRing
from services.runtime.postgres import connect
from tests.fakes.operations import operations_over
from tests.integration.engine_api.partition_rows import PARTITIONS, PartitionRows, traits, usage
from tests.integration.engine_api.terminal import Terminal
from tests.migrated import migrate

ADMIN_KEY = "an admin key"


@dataclass(frozen=True)
class Api:
    """A client with the admin key, and the rows behind it."""

    http: httpx.AsyncClient
    rows: PartitionRows


@pytest.fixture(scope="module")
def migrated(database_url: str) -> str:
    """This module's database with the engine's tables and the key table, which is ingest's."""
    migrate(database_url, "ingest", "activation")
    return database_url


@pytest.fixture
async def database(migrated: str) -> AsyncIterator[AsyncEngine]:
    """A pool on the module's database, empty but for its tables."""
    engine = connect(migrated, service="test")
    async with engine.begin() as connection:
        tables = "partition_lease account account_plan ledger plan_version partition_plan event_name"
        for table in tables.split():
            await connection.execute(sa.text(f"TRUNCATE activation.{table}"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def api(database: AsyncEngine) -> AsyncIterator[Api]:
    """The app over the database, with every partition claimed and nothing else."""
    async with serving(database) as served:
        yield served


@pytest.fixture
async def impatient_api(database: AsyncEngine) -> AsyncIterator[Api]:
    """The same, waiting a third of a second only."""
    async with serving(database, adoption_wait_seconds=0.3, position_wait_seconds=0.3) as served:
        yield served


@asynccontextmanager
async def serving(database: AsyncEngine, **waits: float) -> AsyncIterator[Api]:
    """The app with these waits."""
    keys = KeyRing(database, admin_key=ADMIN_KEY, pepper="")
    rows = PartitionRows(database)
    await rows.claim_all()
    operations = operations_over(database)
    app = new_engine_api(reads=database, keys=keys, partitions=lambda: PARTITIONS, operations=operations, **waits)
    transport = httpx.ASGITransport(app=app)
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://engine", headers=headers) as client:
        yield Api(client, rows)


@pytest.fixture
async def terminal(database: AsyncEngine, tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal beside a served engine with a plan and two accounts."""
    rows = PartitionRows(database)
    await rows.claim_all()
    await rows.publish()
    await rows.apply("acme/1", traits("acme/1", name="Acme", owner="dana"), usage("acme/1", "data.ingested", day=0))
    await rows.apply("b", usage("b", "data.ingested", day=0), part=1)
    app = new_engine_api(
        reads=database,
        keys=KeyRing(database, admin_key=ADMIN_KEY, pepper=""),
        partitions=lambda: PARTITIONS,
        operations=operations_over(database),
    )
    server = HttpServer(app, host="127.0.0.1", port=0)
    serving = asyncio.create_task(server.serve())
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTVALUE_")}
    named = {"FIRSTVALUE_ENGINE_URL": f"http://127.0.0.1:{server.port}", "FIRSTVALUE_API_KEY": ADMIN_KEY}
    yield Terminal(rows, inherited | named | {"FIRSTVALUE_DATA_DIR": str(tmp_path)})
    await server.stop()
    await serving
