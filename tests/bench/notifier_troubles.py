"""What endpoints in trouble cost the others, and how a backlog drains once its endpoint answers again."""

from __future__ import annotations

import asyncio
import statistics
import time

from tests.bench.notifier_load import Bench, stamped
from tests.running_notifier import query
from tests.waiting import until

_HEALTHY = 40
_TROUBLED = 10
_BURST_SIGNALS = 250
_PACED_SIGNALS_PER_S = 8
_PACED_SECONDS = 10
_CAP = 10


async def isolation(bench: Bench) -> dict[str, float]:
    """The healthy endpoints' p99 and throughput when a fifth of all endpoints never answers, against none."""
    healthy = await bench.add_endpoints("well", _HEALTHY)
    others = await bench.add_endpoints("quiet", _TROUBLED)
    calm_p99_ms, calm_per_s = await _healthy(bench, healthy)
    await bench.remove(others)
    hanging = await bench.add_endpoints("hang", _TROUBLED, timeout_seconds=15)
    hang_p99_ms, hang_per_s = await _healthy(bench, healthy)
    await bench.remove([*healthy, *hanging])
    return {
        "calm_p99_ms": calm_p99_ms,
        "hang_p99_ms": hang_p99_ms,
        "hang_p99_growth": hang_p99_ms / calm_p99_ms - 1,
        "calm_healthy_per_s": calm_per_s,
        "hang_healthy_per_s": hang_per_s,
        "hang_throughput_drop": 1 - hang_per_s / calm_per_s,
    }


async def _healthy(bench: Bench, healthy: list[str]) -> tuple[float, float]:
    await query(bench.servers, "DELETE FROM notifier.delivery WHERE status IN ('succeeded', 'cancelled')")
    await bench.forget_latencies()
    sent = await bench.publish_paced(_PACED_SIGNALS_PER_S, _PACED_SECONDS)
    latencies = await bench.latencies_ms(sent * _HEALTHY)
    began = time.perf_counter()
    await bench.publish([stamped() for _ in range(_BURST_SIGNALS)])
    await bench.recorded(healthy, (sent + _BURST_SIGNALS) * _HEALTHY)
    took_seconds = time.perf_counter() - began
    return statistics.quantiles(latencies, n=100)[98], _BURST_SIGNALS * _HEALTHY / took_seconds


async def backlog(bench: Bench, count: int) -> dict[str, float]:
    """Deliveries wait for one endpoint, which then answers each after 5 ms: how fast they drain, within its cap."""
    (endpoint_id,) = endpoints = await bench.add_endpoints("slow", 1, concurrency_max=_CAP)
    gate = "UPDATE notifier.endpoint_gate SET not_before = {} WHERE endpoint_id = $1"
    await query(bench.servers, gate.format("now() + interval '1 day', trips = 3, failing_since = now()"), endpoint_id)
    await bench.publish([stamped() for _ in range(count)])
    waiting = "SELECT count(*) FROM notifier.delivery WHERE endpoint_id = $1 AND status IN ('pending', 'held')"

    async def all_wait() -> bool:
        return bool((await query(bench.servers, waiting, endpoint_id))[0]["count"] >= count)

    await until(all_wait, timeout_seconds=300)
    await bench.client.http.get(f"{bench.receiver_url}/peak")
    resident = [bench.notifier.memory_info().rss]
    watching = asyncio.create_task(_watch_memory(bench, resident))
    began = time.perf_counter()
    await query(bench.servers, gate.format("now()"), endpoint_id)
    await bench.recorded(endpoints, count, seconds=600)
    took_seconds = time.perf_counter() - began
    peak = (await bench.client.http.get(f"{bench.receiver_url}/peak")).json()
    watching.cancel()
    await bench.remove(endpoints)
    return {
        "backlog_deliveries_per_s": count / took_seconds,
        "backlog_peak_at_once": float(peak),
        "backlog_memory_growth_mb": (max(resident) - resident[0]) / 2**20,
    }


async def _watch_memory(bench: Bench, resident: list[int]) -> None:
    while True:
        await asyncio.sleep(0.1)
        resident.append(bench.notifier.memory_info().rss)
