"""How many events one ingest process takes and what each costs it: `make bench-ingest`.

Real Kafka with acks=all, the load from a process of its own, processor time from the operating system. The service
that one would write first runs in the same session, so that the ratio can be trusted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import psutil

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path, root
from deploy.local.progress import Silence
from deploy.local.servers import servers_alone
from schemas.topics import PRODUCT_EVENTS
from tests.bench.programs import cpu_seconds
from tests.bench.report import RUNS, print_header, print_json, print_medians
from tests.integration.ingest_process import IngestProcess, ingest_environment, prepare, running_ingest
from tests.ports import free_port
from tests.waiting import wait_until

_PARTITIONS = 6
_EVENTS_PER_BATCH = 100
_BATCH_CONNECTIONS = 16
_SINGLE_CONNECTIONS = 32
_SECONDS = float(os.environ.get("FIRSTVALUE_BENCH_SECONDS", "4"))
_ACCOUNTS = 1_000
_BODIES = 50
_PREFIX = "bench."


@dataclass
class Target:
    """Processes that the load is spread over."""

    processes: list[psutil.Process]
    ports: list[int]
    key: str = ""

    def cpu_seconds(self) -> float:
        """Of all of them."""
        return sum(cpu_seconds(process) for process in self.processes)


@dataclass
class Measured:
    """One run: what the load saw and what the process paid."""

    requests_per_s: float
    cpu_us_per_request: float
    p99_ms: float


def main() -> None:
    """Run everything and print it."""
    folder = root() / ".firstvalue-test" / f"bench-ingest-{os.getpid()}"
    with _servers(folder) as connection:
        environment = ingest_environment(
            database_url=connection["database"], kafka_bootstrap=connection["kafka"], topic_prefix=_PREFIX
        )
        prepare(environment, partitions=_PARTITIONS)
        figures = _measure_all(environment, folder)
    print_json(figures)


def _measure_all(environment: dict[str, str], folder: Path) -> dict[str, float]:
    settings = {
        "partitions": _PARTITIONS,
        "events_per_batch": _EVENTS_PER_BATCH,
        "bytes_per_event": len(json.dumps(_event(0))),
        "accounts": _ACCOUNTS,
        "batch_connections": _BATCH_CONNECTIONS,
        "single_connections": _SINGLE_CONNECTIONS,
        "seconds_per_run": _SECONDS,
    }
    print_header("ingest: HTTP to Kafka, acks=all, idempotent", settings)
    batches = [json.dumps({"batch": [_event(number) for number in _numbers(body)]}) for body in range(_BODIES)]
    singles = [json.dumps(_event(number)) for number in range(_BODIES)]
    rows: dict[str, list[float]] = {}
    with running_ingest(environment, folder) as service:
        one = _target(service)

        def load(path: str, bodies: list[str], connections: int, rate_per_s: float | None = None) -> Measured:
            return _load(one, path, bodies, connections, rate_per_s)

        load("/v1/batch", batches, _BATCH_CONNECTIONS)
        for _ in range(RUNS):
            batch = load("/v1/batch", batches, _BATCH_CONNECTIONS)
            half = load("/v1/batch", batches, _BATCH_CONNECTIONS, batch.requests_per_s / 2)
            single = load("/v1/track", singles, _SINGLE_CONNECTIONS)
            _add(rows, "batch_events_per_s", batch.requests_per_s * _EVENTS_PER_BATCH)
            _add(rows, "batch_cpu_us_per_event", batch.cpu_us_per_request / _EVENTS_PER_BATCH)
            _add(rows, "single_requests_per_s", single.requests_per_s)
            _add(rows, "single_cpu_us_per_request", single.cpu_us_per_request)
            _add(rows, "half_load_p99_ms", half.p99_ms)
        with running_ingest(environment, folder) as second:
            _add_batches(rows, "two_processes_batch", _target(service, second), batches)
    with _naive(environment) as naive:
        _add_batches(rows, "naive_batch", naive, batches)
    medians = print_medians(rows)
    ratio = medians["naive_batch_cpu_us_per_event"] / medians["batch_cpu_us_per_event"]
    print(f"The naive service costs {ratio:.1f} times the processor time per event.")
    gain = medians["two_processes_batch_events_per_s"] / medians["batch_events_per_s"]
    print(f"A second process of ingest takes {gain:.2f} times the events of one.")
    return medians


def _add_batches(rows: dict[str, list[float]], name: str, target: Target, batches: list[str]) -> None:
    _load(target, "/v1/batch", batches, _BATCH_CONNECTIONS)
    for _ in range(RUNS):
        batch = _load(target, "/v1/batch", batches, _BATCH_CONNECTIONS)
        _add(rows, f"{name}_events_per_s", batch.requests_per_s * _EVENTS_PER_BATCH)
        _add(rows, f"{name}_cpu_us_per_event", batch.cpu_us_per_request / _EVENTS_PER_BATCH)


def _target(*services: IngestProcess) -> Target:
    """With a key such as a product has; the operator's is for few requests, and hashed anew for each."""
    return Target(
        [psutil.Process(one.process.pid) for one in services],
        [int(one.url.rpartition(":")[2]) for one in services],
        services[0].post("/v1/keys", {"name": "bench", "scopes": ["events:write"]}).json()["key"],
    )


def _load(target: Target, path: str, bodies: list[str], connections: int, rate_per_s: float | None = None) -> Measured:
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "ports": target.ports,
        "path": path,
        "key": target.key,
        "bodies": bodies,
        "connections": connections,
        "seconds": _SECONDS,
        "rate_per_s": rate_per_s,
    }
    before = target.cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(settings),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=root(),
    )
    used_seconds = target.cpu_seconds() - before
    seen = json.loads(done.stdout)
    if set(seen["statuses"]) != {"200"}:
        raise SystemExit(f"{path} answered {seen['statuses']}, the figures mean nothing")
    return Measured(seen["requests"] / seen["seconds"], 1e6 * used_seconds / seen["requests"], seen["p99_ms"])


def _event(number: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Report Generated",
        "messageId": f"0c6b9e3a-7a3d-4f5a-9b1b-{number:012x}",
        "userId": f"user-{number % 5000}",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "context": {
            "library": {"name": "analytics-python", "version": "2.3.2"},
            "groupId": f"acct-{number % _ACCOUNTS}",
        },
        "properties": {"rows": 120, "kind": "pipeline", "url": "https://app.acme.example/reports/17", "ms": 1532.25},
        "integrations": {},
    }


def _numbers(body: int) -> range:
    return range(body * _EVENTS_PER_BATCH, (body + 1) * _EVENTS_PER_BATCH)


def _add(rows: dict[str, list[float]], name: str, value: float) -> None:
    rows.setdefault(name, []).append(value)


@contextmanager
def _servers(folder: Path) -> Iterator[dict[str, str]]:
    try:
        with servers_alone(
            DataFolder(folder), jars=jars_path(), environment=os.environ, progress=Silence(), stopping=Event()
        ) as stack:
            yield stack.connection
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _naive(environment: dict[str, str]) -> Iterator[Target]:
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.naive_ingest", str(port), PRODUCT_EVENTS.named(_PREFIX)]
    process = subprocess.Popen(command, env=environment, cwd=root())
    try:
        wait_until(lambda: _answers(port), timeout_seconds=20, what="until the naive service answers")
        yield Target([psutil.Process(process.pid)], [port])
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/docs").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
