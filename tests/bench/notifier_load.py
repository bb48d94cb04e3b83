"""What a benchmark of the notifier works with: signals that know when they were made, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import psutil

from schemas.signals import Signal
from tests.builders_signals import SignalPublisher, a_signal
from tests.running_notifier import NotifierClient, Servers
from tests.waiting import until

PARTITIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run works with."""

    servers: Servers
    notifier: psutil.Process
    client: NotifierClient
    receiver_url: str
    deliveries: int

    async def add_endpoints(self, kind: str, count: int, **terms: Any) -> list[str]:
        """Ids of new endpoints at the receiver's `/kind`."""
        made = [await self.client.add_endpoint(f"{self.receiver_url}/{kind}/{n}", **terms) for n in range(count)]
        return [each["id"] for each in made]

    async def remove(self, endpoint_ids: Sequence[str]) -> None:
        """Delete endpoints; what still waits for them is cancelled."""
        for endpoint_id in endpoint_ids:
            await self.client.ask("DELETE", f"/v1/endpoints/{endpoint_id}", status=204)

    async def publish(self, signals: Sequence[Signal]) -> None:
        """All at once, over all partitions."""
        async with SignalPublisher(self.servers.kafka_bootstrap, self.servers.topic) as publisher:
            for part in range(PARTITIONS):
                await publisher.publish(signals[part::PARTITIONS], partition=part)

    async def publish_paced(self, per_second: float, seconds: float) -> int:
        """At a steady rate; returns how many."""
        total, sent, began = int(per_second * seconds), 0, time.perf_counter()
        async with SignalPublisher(self.servers.kafka_bootstrap, self.servers.topic) as publisher:
            while sent < total:
                due = min(int((time.perf_counter() - began) * per_second) + 1, total)
                await publisher.publish([stamped() for _ in range(due - sent)], partition=sent % PARTITIONS)
                sent = due
                await asyncio.sleep(0.005)
        return sent

    async def forget_latencies(self) -> None:
        """Begin to measure."""
        await self.client.http.get(f"{self.receiver_url}/latencies")

    async def latencies_ms(self, count: int) -> list[float]:
        """From production to receipt, once so many have arrived."""
        found: list[float] = []

        async def complete() -> bool:
            found.extend((await self.client.http.get(f"{self.receiver_url}/latencies")).json())
            return len(found) >= count

        await until(complete, timeout_seconds=120)
        return found

    async def recorded(self, endpoint_ids: Sequence[str], count: int, *, seconds: float = 180) -> None:
        """Return when so many deliveries of these endpoints have succeeded."""
        statement = "SELECT count(*) FROM notifier.delivery WHERE endpoint_id = ANY($1) AND status = 'succeeded'"
        connection = await asyncpg.connect(self.servers.database_url)

        async def all_recorded() -> bool:
            await asyncio.sleep(0.1)
            return bool(await connection.fetchval(statement, list(endpoint_ids)) >= count)

        try:
            await until(all_recorded, timeout_seconds=seconds)
        finally:
            await connection.close()


def stamped() -> Signal:
    """A signal whose account's name is the time in nanoseconds."""
    signal = a_signal()
    signal.account.name = str(time.time_ns())
    return signal
