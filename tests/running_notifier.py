"""A notifier that runs in the test's own event loop against real servers, and a client for its API."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest_asyncio
from pydantic import SecretStr

from schemas.topics import SIGNALS
from services.notifier.app import serve
from services.notifier.settings import NotifierSettings
from services.runtime.kafka import create_topics
from services.runtime.process import Stopping
from services.runtime.settings import SharedSettings
from tests.migrated import migrate
from tests.ports import free_port
from tests.waiting import until

ADMIN_KEY = "test-admin-key"
SECRET_KEY = base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True, slots=True)
class Servers:
    """What one notifier runs against."""

    database_url: str
    kafka_bootstrap: str
    topic_prefix: str

    @property
    def topic(self) -> str:
        """The signals topic on the broker."""
        return SIGNALS.named(self.topic_prefix)

    def environment(self) -> dict[str, str]:
        """For a notifier in a process of its own."""
        return {
            "DATABASE_URL": self.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap,
            "FIRSTVALUE_TOPIC_PREFIX": self.topic_prefix,
            "FIRSTVALUE_ADMIN_KEY": ADMIN_KEY,
            "FIRSTVALUE_NOTIFIER_SECRET_KEY": SECRET_KEY,
            "FIRSTVALUE_NOTIFIER_ALLOWED_ADDRESSES": "127.0.0.1",
        }


async def prepare(servers: Servers, *, partitions: int = 2) -> None:
    """Make ingest's key table and the notifier's, and create the topic."""
    await asyncio.to_thread(migrate, servers.database_url, "ingest", "notifier")
    await create_topics(
        servers.kafka_bootstrap, [SIGNALS], prefix=servers.topic_prefix, partitions=partitions, replication=1
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def surroundings(database_url: str, kafka_bootstrap: str, topic_prefix: str) -> Servers:
    """A migrated database and the topic, of the module alone."""
    made = Servers(database_url, kafka_bootstrap, topic_prefix)
    await prepare(made)
    return made


@dataclass(frozen=True, slots=True)
class NotifierClient:
    """The API and the private port, over HTTP."""

    http: httpx.AsyncClient
    private_url: str

    async def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        """The decoded answer, whose status must be `status`."""
        response = await self.http.request(method, path, **more)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    async def add_endpoint(self, url: str, **terms: Any) -> Any:
        """A created endpoint with its secret."""
        return await self.ask("POST", "/v1/endpoints", status=201, json={"url": url, **terms})

    async def deliveries(self, **wanted: str) -> list[Any]:
        """The newest 500 deliveries."""
        answer = await self.ask("GET", "/v1/deliveries", params={"limit": "500", **wanted})
        return list(answer["data"])

    async def metric(self, line_start: str) -> float:
        """The value of the first sample whose line starts so."""
        text = (await self.http.get(f"{self.private_url}/metrics")).text
        return next(float(line.split(" ")[-1]) for line in text.splitlines() if line.startswith(line_start))


@asynccontextmanager
async def client_of(port: int, metrics_port: int, *, wait_ready: bool = True) -> AsyncIterator[NotifierClient]:
    """A client of a notifier, once that is ready or, without `wait_ready`, once it answers at all."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    private_url = f"http://127.0.0.1:{metrics_port}"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:

        async def ready() -> bool:
            try:
                return (await http.get(f"{private_url}/readyz")).status_code == 200 or not wait_ready
            except httpx.TransportError:
                return False

        await until(ready)
        yield NotifierClient(http, private_url)


@asynccontextmanager
async def notifier_process(
    servers: Servers, environment: Mapping[str, str], *, wait_ready: bool = True
) -> AsyncIterator[tuple[Process, NotifierClient]]:
    """A notifier in a process of its own, with short leases; killed at the end if it still runs."""
    port, metrics_port = free_port(), free_port()
    own = servers.environment() | {
        "FIRSTVALUE_NOTIFIER_PORT": str(port),
        "FIRSTVALUE_NOTIFIER_METRICS_PORT": str(metrics_port),
        "FIRSTVALUE_NOTIFIER_LEASE_SECONDS": "2",
        # A group of its own: a dead process's membership keeps its partitions for the session timeout. Positions are
        # in the database, whatever the group.
        "FIRSTVALUE_NOTIFIER_GROUP": f"group-{port}",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.notifier", env={**os.environ, **own, **environment}
    )
    try:
        async with client_of(port, metrics_port, wait_ready=wait_ready) as client:
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def running(servers: Servers, **settings: Any) -> AsyncIterator[NotifierClient]:
    """A notifier in this event loop; `settings` replace its own. It drains at the end."""
    shared = SharedSettings(
        database_url=servers.database_url,
        kafka_bootstrap_servers=servers.kafka_bootstrap,
        topic_prefix=servers.topic_prefix,
        admin_key=SecretStr(ADMIN_KEY),
        drain_seconds=5,
    )
    port, metrics_port = free_port(), free_port()
    defaults: dict[str, Any] = {"allowed_addresses": "127.0.0.1", "secret_key": SecretStr(SECRET_KEY)}
    own = NotifierSettings(port=port, metrics_port=metrics_port, **(defaults | settings))
    stopping = Stopping()
    process = asyncio.create_task(serve(shared, own, stopping=stopping))
    try:
        async with client_of(port, metrics_port) as client:
            yield client
    finally:
        stopping.request()
        await process


async def query(servers: Servers, statement: str, *arguments: Any) -> list[Any]:
    """Rows straight from the database."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        return list(await connection.fetch(statement, *arguments))
    finally:
        await connection.close()
