"""One pipeline from ingest to a receiver, with its customers known, and the steps of load that it is put under."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.local.data_folder import DataFolder
from services.activation_engine.plan_templates import template_text
from tests.bench.pipeline_gauge import Backlog, BacklogGauge, ProcessorGauge, backlog_gauge
from tests.bench.pipeline_load import EVENTS_PER_REQUEST, Load, introduce
from tests.bench.pipeline_search import is_flat
from tests.bench.programs import program
from tests.fakes.private_servers import pid_of
from tests.ports import free_port
from tests.running_system import SERVICES, RunningSystem
from tests.waiting import until

PARTS = ("ingest", "broker", "engine", "postgres", "notifier", "receiver", "load")
# What a deployment has, where tests are in a hurry.
_SETTINGS = {
    "ENGINE_SESSION_TIMEOUT_SECONDS": "10",
    "NOTIFIER_SESSION_TIMEOUT_SECONDS": "10",
    "NOTIFIER_LEASE_SECONDS": "60",
}
_PLAN = "b2b-saas"
_CONCURRENCY_MAX = 50
# An account's first events take about half a millisecond; a loaded machine several times that.
_ACCOUNTS_PER_S_MIN = 100
_DRAIN_SECONDS = 180.0
# The last answer of a step may come so late; later, requests have queued for a connection.
_LATE_SECONDS_MAX = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of load. Latencies are from sending to the receiver; `cpu_share` is of one core while the load lasted,
    `cpu_seconds` until its last signal was answered; `others` is every other program of the machine, this one too."""

    asked_per_s: float
    events_per_s: float
    events: int
    flat: bool
    worst: Backlog
    p50_ms: float
    p99_ms: float
    accept_p99_ms: float
    cpu_share: dict[str, float]
    cpu_seconds: dict[str, float]


class PipelineRoom:
    """A pipeline that runs; one step at a time."""

    def __init__(
        self, *, load: Load, backlog: BacklogGauge, processors: ProcessorGauge, receiver: httpx.AsyncClient
    ) -> None:
        self._load = load
        self._backlog = backlog
        self._processors = processors
        self._receiver = receiver

    async def step(self, events_per_s: float, seconds: float) -> Step:
        """Send at this rate for so long, then wait until nothing waits; AssertionError if a signal is missing."""
        await self._receiver.get("/latencies")
        settings = self._load.settings(events_per_s, seconds)
        looks: list[Backlog] = []
        began_seconds, before = time.perf_counter(), self._processors.look()
        watching = asyncio.create_task(self._backlog.watch(looks))
        try:
            seen = await self._load.run(settings)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        lasted_seconds, during = time.perf_counter() - began_seconds, self._processors.look()
        await self._backlog.wait_empty(seconds=_DRAIN_SECONDS)
        after, taken = self._processors.look(), int(seen["statuses"]["200"])
        latencies = await self._latencies_ms(taken, refused=int(seen["requests"]) - taken)
        in_time = seen["seconds"] <= seconds + _LATE_SECONDS_MAX and taken == seen["requests"]
        achieved_per_s = taken * EVENTS_PER_REQUEST / seen["seconds"]
        return Step(
            asked_per_s=events_per_s,
            events_per_s=achieved_per_s,
            events=taken * EVENTS_PER_REQUEST,
            flat=in_time and _flat(looks, lasted_seconds, events_per_s),
            worst=Backlog(max(look.events for look in looks), max(look.signals for look in looks)),
            p50_ms=statistics.median(latencies),
            p99_ms=statistics.quantiles(latencies, n=100)[98],
            accept_p99_ms=seen["p99_ms"],
            cpu_share={name: used / seen["seconds"] for name, used in _used(before, during, seen).items()},
            cpu_seconds=_used(before, after, seen),
        )

    async def _latencies_ms(self, count: int, *, refused: int) -> list[float]:
        """One for each new customer of an accepted request; of a refused one, Kafka may have got the events or not."""
        found: list[float] = []

        async def complete() -> bool:
            found.extend((await self._receiver.get("/latencies")).json())
            return len(found) >= count

        await until(complete)
        assert count <= len(found) <= count + refused, f"{len(found)} signals for {count} new customers"
        return found


@asynccontextmanager
async def pipeline_room(
    servers: DataFolder, folder: Path, *, accounts: int, partitions: int
) -> AsyncIterator[PipelineRoom]:
    """Services with their own database and topics, a published plan, `accounts` that were met, then an endpoint.

    Their logs go to `folder`, which exists."""
    at, port = servers.read_state()["connection"], free_port()
    system = RunningSystem(at["database"], at["kafka"], folder, partitions=partitions, settings=_SETTINGS)
    with program(["tests.bench.receiver", str(port)], {}, folder / "receiver.log") as receiver_process:
        async with (
            system,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as receiver,
            backlog_gauge(system) as backlog,
        ):
            await system.start(*SERVICES)
            await _prepare(system, backlog, f"http://127.0.0.1:{port}/all", accounts)
            yield PipelineRoom(
                load=Load(ingest_url=system.services["ingest"].url, accounts=accounts),
                backlog=backlog,
                processors=_processors(system, servers, receiver_process),
                receiver=receiver,
            )


async def _prepare(system: RunningSystem, backlog: BacklogGauge, receiver_url: str, accounts: int) -> None:
    async with system.client("engine") as engine:
        answer = await engine.put(f"/v1/plans/{_PLAN}", content=template_text(_PLAN).encode())
        assert answer.status_code == 200, answer.text
    async with system.client("ingest") as ingest:
        await introduce(ingest, accounts)
    await backlog.wait_empty(seconds=60 + accounts / _ACCOUNTS_PER_S_MIN)
    # Only now, or each of the accounts would be announced to it.
    terms = {"types": ["account.activation_started"], "concurrency_max": _CONCURRENCY_MAX}
    async with system.client("notifier") as notifier:
        answer = await notifier.post("/v1/endpoints", json={"url": receiver_url, **terms})
        assert answer.status_code == 201, answer.text


def _processors(system: RunningSystem, servers: DataFolder, receiver: psutil.Process) -> ProcessorGauge:
    services = {name: psutil.Process(one.process.pid) for name, one in system.services.items() if one.process}
    broker, postgres = (psutil.Process(pid_of(servers, name)) for name in ("kafka", "postgres"))
    return ProcessorGauge({**services, "broker": broker, "postgres": postgres, "receiver": receiver})


def _used(before: dict[str, float], after: dict[str, float], seen: dict[str, Any]) -> dict[str, float]:
    used = {name: after[name] - before[name] for name in after} | {"load": seen["cpu_seconds"]}
    parts = {name: used[name] for name in PARTS}
    return parts | {"others": max(0.0, used["everything"] - sum(parts.values()))}


def _flat(looks: list[Backlog], seconds: float, events_per_s: float) -> bool:
    """Both backlogs; a request brings as many signals as it holds new customers, one."""
    signals_per_s = events_per_s / EVENTS_PER_REQUEST
    return is_flat([look.events for look in looks], seconds=seconds, inflow_per_s=events_per_s) and is_flat(
        [look.signals for look in looks], seconds=seconds, inflow_per_s=signals_per_s
    )
