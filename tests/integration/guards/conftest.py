"""One running system for all guards: they ask its three APIs as anybody can."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import RunningServers
from tests.running_system import RunningSystem


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def system(servers: RunningServers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSystem]:
    """Ingest, engine and notifier, ready."""
    folder = tmp_path_factory.mktemp("guards")
    async with RunningSystem(servers.database_url, servers.kafka_bootstrap, folder) as running:
        await running.start("ingest", "engine", "notifier")
        yield running
