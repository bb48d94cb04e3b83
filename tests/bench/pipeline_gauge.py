"""What waits between the parts of a pipeline, and the processor time of each part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import PRODUCT_EVENTS
from tests.bench.programs import machine_cpu_seconds, tree_cpu_seconds
from tests.running_system import RunningSystem
from tests.waiting import until

_LOOK_SECONDS = 0.2
_PLACES = """
SELECT (SELECT coalesce(sum(next_offset), 0) FROM activation.partition_lease) AS applied,
       (SELECT coalesce(sum(out_seq), 0) FROM activation.partition_lease)
     - (SELECT coalesce(sum(last_seq), 0) FROM notifier.intake)
     + (SELECT count(*) FROM notifier.delivery WHERE status = 'pending')
     + (SELECT count(*) FROM notifier.delivery WHERE status = 'leased') AS signals
"""


class Backlog(NamedTuple):
    """Records in Kafka that the engine has not applied, and signals in its ledger that no receiver has answered."""

    events: int
    signals: int


class BacklogGauge:
    """Looks at one system's log and tables."""

    def __init__(self, *, database: asyncpg.Connection[Any], reader: Any, topic: str, partitions: int) -> None:
        self._database = database
        self._reader = reader
        self._places = [TopicPartition(topic, part) for part in range(partitions)]

    async def look(self) -> Backlog:
        """What waits now. The log is asked first: what it gets meanwhile must not look like less than nothing."""
        ends = await self._reader.end_offsets(self._places)
        row = await self._database.fetchrow(_PLACES)
        assert row is not None
        return Backlog(max(0, sum(ends.values()) - int(row["applied"])), int(row["signals"]))

    async def watch(self, looks: list[Backlog]) -> None:
        """Add a look at even steps, until cancelled."""
        due = time.monotonic()
        while True:
            looks.append(await self.look())
            due += _LOOK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def wait_empty(self, *, seconds: float) -> None:
        """Return once nothing waits."""

        async def empty() -> bool:
            return await self.look() == Backlog(0, 0)

        await until(empty, timeout_seconds=seconds)


@asynccontextmanager
async def backlog_gauge(system: RunningSystem) -> AsyncIterator[BacklogGauge]:
    """A gauge, connected."""
    reader = AIOKafkaConsumer(bootstrap_servers=system.kafka, enable_auto_commit=False)
    await reader.start()
    database = await asyncpg.connect(system.database_url)
    try:
        topic = PRODUCT_EVENTS.named(system.prefix)
        yield BacklogGauge(database=database, reader=reader, topic=topic, partitions=system.partitions)
    finally:
        await database.close()
        await reader.stop()


class ProcessorGauge:
    """Seconds of processor time by part; `everything` is all that this machine's programs used."""

    def __init__(self, parts: Mapping[str, psutil.Process]) -> None:
        self._parts = parts

    def look(self) -> dict[str, float]:
        """Used until now."""
        used = {name: tree_cpu_seconds(process) for name, process in self._parts.items()}
        return used | {"everything": machine_cpu_seconds()}
