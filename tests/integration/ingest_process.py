"""The real ingest service as a process, on its own database and topics, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.topics import TOPICS
from services.runtime.kafka import create_topics
from tests.migrated import migrate
from tests.ports import free_port
from tests.waiting import wait_until

ADMIN_KEY = "admin-key-of-the-tests"
_ROOT = Path(__file__).parents[2]
_START_SECONDS = 120.0
_STOP_SECONDS = 20.0


@dataclass
class IngestProcess:
    """A running service; `log` is the file with its standard error."""

    process: subprocess.Popen[bytes]
    url: str
    private_url: str
    environment: dict[str, str]
    log: Path

    def post(self, path: str, body: Any, *, key: str | None = ADMIN_KEY, **options: Any) -> httpx.Response:
        """POST a JSON value, or bytes as they are."""
        headers = {"content-type": "application/json", **options.pop("headers", {})}
        if key is not None:
            headers.setdefault("authorization", f"Bearer {key}")
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(self.url + path, content=content, headers=headers, timeout=15, **options)

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        with suppress(httpx.TransportError):
            return httpx.get(self.private_url + "/readyz", timeout=5).status_code == 200
        return False

    def wait_ready(self, *, timeout_seconds: float = _START_SECONDS) -> None:
        """Return once it can work; fails with the end of its log."""
        wait_until(lambda: self.is_ready() or self.process.poll() is not None, timeout_seconds=timeout_seconds)
        assert self.process.poll() is None, self.log.read_text()[-3000:]

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series, 0 if it is not there."""
        wanted = "".join(f'{key}="{value}",' for key, value in labels.items())
        for line in httpx.get(self.private_url + "/metrics", timeout=5).text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(part in series for part in wanted.split(",") if part):
                return float(value)
        return 0.0

    def logged(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def ingest_environment(
    *, database_url: str, kafka_bootstrap: str, topic_prefix: str, **settings: object
) -> dict[str, str]:
    """The environment of a service; `settings` are FIRSTVALUE_ names in lower case, such as ingest_tick_seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTVALUE_")}
    return {
        **kept,
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "FIRSTVALUE_TOPIC_PREFIX": topic_prefix,
        "FIRSTVALUE_ADMIN_KEY": ADMIN_KEY,
        **{f"FIRSTVALUE_{name.upper()}": str(value) for name, value in settings.items()},
    }


def prepare(environment: Mapping[str, str], *, partitions: int = 3) -> None:
    """Create schema and topics, as the jobs before the services do."""
    migrate(environment["DATABASE_URL"], "ingest")
    kafka, prefix = environment["KAFKA_BOOTSTRAP_SERVERS"], environment["FIRSTVALUE_TOPIC_PREFIX"]
    with ThreadPoolExecutor(1) as pool:
        topics = create_topics(kafka, TOPICS, prefix=prefix, partitions=partitions, replication=1)
        pool.submit(asyncio.run, topics).result()


def launch(environment: Mapping[str, str], folder: Path) -> IngestProcess:
    """Start a service on free ports without waiting for it."""
    port, private_port = free_port(), free_port()
    whole = {
        **environment,
        "FIRSTVALUE_INGEST_PORT": str(port),
        "FIRSTVALUE_INGEST_METRICS_PORT": str(private_port),
    }
    log = folder / f"ingest-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.ingest"], env=whole, cwd=_ROOT, stdout=output, stderr=output
        )
    return IngestProcess(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{private_port}", whole, log)


@contextmanager
def running_ingest(environment: Mapping[str, str], folder: Path) -> Iterator[IngestProcess]:
    """A ready service, ended with SIGTERM if it still runs."""
    service = launch(environment, folder)
    try:
        service.wait_ready()
        yield service
    finally:
        end(service)


@pytest.fixture(scope="module")
def service(
    database_url: str,
    kafka_bootstrap: str,
    topic_prefix: str,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[IngestProcess]:
    """A service of the module alone, run with its SETTINGS on its PARTITIONS, if it has any."""
    environment = ingest_environment(
        database_url=database_url,
        kafka_bootstrap=kafka_bootstrap,
        topic_prefix=topic_prefix,
        **getattr(request.module, "SETTINGS", {}),
    )
    prepare(environment, partitions=getattr(request.module, "PARTITIONS", 3))
    with running_ingest(environment, tmp_path_factory.mktemp("ingest")) as running:
        yield running


def end(service: IngestProcess) -> int:
    """SIGTERM, and SIGKILL if that is not enough; the exit status."""
    if service.process.poll() is None:
        service.process.send_signal(signal.SIGTERM)
        try:
            service.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            service.process.kill()
    return service.process.wait()
