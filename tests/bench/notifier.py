"""How many signals one notifier delivers and how soon: `make bench-notifier`.

From a record in Kafka to a recorded 2xx, on real servers; the receiver is a process of its own and everything shares
the machine's cores. Isolation compares 40 healthy endpoints with and without ten more that never answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import time
from pathlib import Path
from threading import Event

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path, root
from deploy.local.progress import Silence
from deploy.local.servers import servers_alone
from tests.bench.notifier_load import PARTITIONS, Bench, stamped
from tests.bench.notifier_troubles import backlog, isolation
from tests.bench.programs import cpu_seconds, program
from tests.bench.report import RUNS, print_header, print_json, print_medians
from tests.builders_signals import SignalPublisher, a_signal
from tests.ports import free_port
from tests.running_notifier import Servers, client_of, prepare

_ENDPOINTS = 20
_RATE_PER_S = 500
_PACED_SECONDS = 10
_IDLE_SIGNALS = 50
_BACKLOG = 100_000


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--backlog", type=int, default=_BACKLOG, help="deliveries that wait for one endpoint")
    parser.add_argument("--deliveries", type=int, default=20_000, help="deliveries per run of the throughput figure")
    arguments = parser.parse_args()
    settings = {
        "partitions": PARTITIONS,
        "endpoints": _ENDPOINTS,
        "deliveries": arguments.deliveries,
        "paced_per_s": _RATE_PER_S,
        "processes": 1,
    }
    print_header("notifier: signal in Kafka to recorded 2xx", settings)
    folder = root() / ".firstvalue-test" / f"bench-notifier-{os.getpid()}"
    try:
        with servers_alone(
            DataFolder(folder), jars=jars_path(), environment=os.environ, progress=Silence(), stopping=Event()
        ) as stack:
            servers = Servers(stack.connection["database"], stack.connection["kafka"], "bench.")
            rows = asyncio.run(
                _measure(
                    servers, folder, runs=arguments.runs, deliveries=arguments.deliveries, waiting=arguments.backlog
                )
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    medians = print_medians(rows)
    keys = ("deliveries_per_s", "receipt_p99_ms", "hang_p99_growth", "hang_throughput_drop")
    print_json({key: medians.get(key) for key in keys})


async def _measure(
    servers: Servers, folder: Path, *, runs: int, deliveries: int, waiting: int
) -> dict[str, list[float]]:
    await prepare(servers, partitions=PARTITIONS)
    ports = [free_port() for _ in range(3)]
    environment = servers.environment() | {
        "FIRSTVALUE_NOTIFIER_PORT": str(ports[0]),
        "FIRSTVALUE_NOTIFIER_METRICS_PORT": str(ports[1]),
    }
    rows: dict[str, list[float]] = {}
    with (
        program(["tests.bench.receiver", str(ports[2])], environment, folder / "receiver.log"),
        program(["services.notifier", "serve"], environment, folder / "notifier.log") as notifier,
    ):
        async with client_of(ports[0], ports[1]) as client:
            bench = Bench(
                servers=servers,
                notifier=notifier,
                client=client,
                receiver_url=f"http://127.0.0.1:{ports[2]}",
                deliveries=deliveries,
            )
            await _throughput(bench)
            for _ in range(runs):
                measured = (await _throughput(bench)) | (await _latency(bench)) | (await isolation(bench))
                print(", ".join(f"{name} {value:,.2f}" for name, value in measured.items()), flush=True)
                for name, value in measured.items():
                    rows.setdefault(name, []).append(value)
            rows |= {name: [value] for name, value in (await backlog(bench, waiting)).items()}
    return rows


async def _throughput(bench: Bench) -> dict[str, float]:
    """All signals are put onto the topic at once; measured until the last outcome is recorded."""
    endpoints = await bench.add_endpoints("all", _ENDPOINTS)
    signals = [a_signal(account_id=f"account-{number}") for number in range(bench.deliveries // _ENDPOINTS)]
    cpu_before = cpu_seconds(bench.notifier)
    began = time.perf_counter()
    await bench.publish(signals)
    await bench.recorded(endpoints, bench.deliveries)
    took_seconds = time.perf_counter() - began
    used_seconds = cpu_seconds(bench.notifier) - cpu_before
    await bench.remove(endpoints)
    return {
        "deliveries_per_s": bench.deliveries / took_seconds,
        "cpu_us_per_delivery": 1e6 * used_seconds / bench.deliveries,
    }


async def _latency(bench: Bench) -> dict[str, float]:
    """Production to receipt: one signal at a time, then at a steady rate."""
    endpoints = await bench.add_endpoints("latency", 1, concurrency_max=50)
    await bench.forget_latencies()
    async with SignalPublisher(bench.servers.kafka_bootstrap, bench.servers.topic) as publisher:
        for _ in range(_IDLE_SIGNALS):
            await publisher.publish([stamped()])
            await asyncio.sleep(0.05)
    idle = await bench.latencies_ms(_IDLE_SIGNALS)
    paced = await bench.latencies_ms(await bench.publish_paced(_RATE_PER_S, _PACED_SECONDS))
    await bench.remove(endpoints)
    return {
        "idle_receipt_p50_ms": statistics.median(idle),
        "receipt_p50_ms": statistics.median(paced),
        "receipt_p99_ms": statistics.quantiles(paced, n=100)[98],
    }


if __name__ == "__main__":
    main()
