"""All three services as processes on real servers: what guards, chaos runs and pipeline benchmarks drive."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

from schemas.topics import TOPICS
from services.runtime.kafka import create_topics
from tests.migrated import migrate
from tests.ports import free_port
from tests.waiting import until

ADMIN_KEY = "admin-key-of-the-tests"
ROOT = Path(__file__).parent.parent
# Module and prefix of the settings of each service.
SERVICES = {"ingest": "ingest", "engine": "activation_engine", "notifier": "notifier"}
# Six at once on a machine that is busy with other things.
_READY_SECONDS = 120.0
_STOP_SECONDS = 25.0


@dataclass(slots=True)
class Service:
    """One replica: the process that runs now, its addresses, which outlive it, and the file that its output goes to."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    url: str
    private_url: str
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def kind(self) -> str:
        """What it is a replica of: the name without its number."""
        return self.name.rstrip("0123456789")

    @property
    def runs(self) -> bool:
        """Whether its process has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start a process, without waiting for it."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=dict(self.environment), stdout=output, stderr=output
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self.process is not None and self.runs:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL if that is not enough; the exit status."""
        assert self.process is not None
        self.send(signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.process.returncode

    async def is_ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            async with httpx.AsyncClient(timeout=5) as http:
                return (await http.get(f"{self.private_url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def wait_ready(self) -> None:
        """Return once it can work; fails with the end of its log."""

        async def ready_or_dead() -> bool:
            return not self.runs or await self.is_ready()

        await until(ready_or_dead, timeout_seconds=_READY_SECONDS)
        assert self.runs, self.log.read_text()[-3000:]


@dataclass(slots=True)
class RunningSystem:
    """A database and topics of its own, and the replicas that work on them; an async context manager.

    `settings` are variables without FIRSTVALUE_, such as `INGEST_TICK_SECONDS`, for every process; `commands` replace
    how a kind of service is run.
    """

    servers_database_url: str
    kafka: str
    folder: Path
    partitions: int = 3
    settings: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    prefix: str = field(default_factory=lambda: f"system-{secrets.token_hex(4)}.")

    @property
    def database_url(self) -> str:
        """The system's own database."""
        return urlsplit(self.servers_database_url)._replace(path=f"/{self._database}").geturl()

    @property
    def _database(self) -> str:
        return "test_" + self.prefix.strip(".").replace("-", "_")

    async def __aenter__(self) -> RunningSystem:
        await self._administer(f'CREATE DATABASE "{self._database}"')
        await create_topics(self.kafka, TOPICS, prefix=self.prefix, partitions=self.partitions, replication=1)
        await asyncio.to_thread(migrate, self.database_url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in self.services.values():
            service.send(signal.SIGCONT)
            service.kill()
        await self._administer(f'DROP DATABASE IF EXISTS "{self._database}" WITH (FORCE)')

    def environment(self, own: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a process of this system gets; nothing of the caller's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTVALUE_")}
        settings = {
            "ADMIN_KEY": ADMIN_KEY,
            "TOPIC_PREFIX": self.prefix,
            "ENGINE_SESSION_TIMEOUT_SECONDS": "6",
            "NOTIFIER_SESSION_TIMEOUT_SECONDS": "6",
            "NOTIFIER_ALLOWED_ADDRESSES": "127.0.0.1",
            "NOTIFIER_SECRET_KEY": base64.b64encode(bytes(range(32))).decode(),
            **self.settings,
            **(own or {}),
        }
        return {
            **kept,
            "DATABASE_URL": self.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            **{f"FIRSTVALUE_{name}": value for name, value in settings.items()},
        }

    def add(self, name: str, **settings: str) -> Service:
        """A replica, not started; its kind is the name without digits: `engine2` is an engine."""
        kind = name.rstrip("0123456789")
        port, private_port = free_port(), free_port()
        own = {f"{kind.upper()}_PORT": str(port), f"{kind.upper()}_METRICS_PORT": str(private_port), **settings}
        command = (sys.executable, "-m", f"services.{SERVICES[kind]}", "serve")
        self.services[name] = Service(
            name,
            self.commands.get(kind, command),
            self.environment(own),
            f"http://127.0.0.1:{port}",
            f"http://127.0.0.1:{private_port}",
            self.folder / f"{name}.log",
        )
        return self.services[name]

    async def start(self, *names: str) -> None:
        """Add, start and await replicas of these names."""
        for name in names:
            self.add(name).start()
        await asyncio.gather(*(self.services[name].wait_ready() for name in names))

    def client(self, name: str, *, key: str | None = ADMIN_KEY, **options: Any) -> httpx.AsyncClient:
        """A client of a replica's API."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(base_url=self.services[name].url, headers=headers, timeout=30, verify=False, **options)

    async def new_key(self, scopes: Iterable[str]) -> str:
        """An API key, which ingest knows at once and the others within a second."""
        async with self.client("ingest") as http:
            answer = await http.post("/v1/keys", json={"name": "test", "scopes": list(scopes)})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["key"])

    async def query(self, statement: str, *arguments: Any) -> list[Any]:
        """Rows straight from the database."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self.servers_database_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
