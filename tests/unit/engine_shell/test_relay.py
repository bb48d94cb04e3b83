"""The relay publishes the ledger in order, one batch per partition at a time, and repeats what is not acked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, ProducerClosed
from prometheus_client import CollectorRegistry

from services.activation_engine import relay as relay_module
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.relay import Relay
from services.activation_engine.store import LedgerRow
from services.runtime.producers import ProducerKeeper
from tests.fakes.memory_store import MemoryStore
from tests.waiting import until


class Batch:
    """Rows of one produce request, three at most."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def append(self, *, key: bytes, value: bytes, timestamp: None, headers: list[tuple[str, bytes]]) -> object | None:
        if len(self.rows) == 3:
            return None
        told = {name: int(number) for name, number in headers}
        assert told == {"seq": told["seq"], "ledger_ms": 7}
        self.rows.append(told["seq"])
        return self

    def close(self) -> None:
        """No more rows."""


class Broker:
    """What landed, in order; fails as told, before or after a batch landed."""

    def __init__(self, *failures: str) -> None:
        self.landed: dict[int, list[int]] = {}
        self.failures = list(failures)
        self.producers = 0
        self.in_flight: dict[int, int] = {}
        self.outlived = 0
        self.replaced = asyncio.Event()

    def new_producer(self) -> Producer:
        if self.producers:
            self.replaced.set()
        self.producers += 1
        return Producer(self)


class Producer:
    """One client; dead after its first failure, as an idempotent producer is."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._dead = False

    async def start(self) -> None:
        if self._broker.failures[:1] == ["away"]:
            self._broker.failures.pop(0)
            raise KafkaConnectionError

    async def stop(self) -> None:
        """After a failure it takes longer than its successor's start."""
        if self._dead:
            await self._broker.replaced.wait()
            self._broker.outlived += 1
        self._dead = True

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, _topic: str, *, partition: int) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._deliver(batch.rows, partition))

    async def _deliver(self, rows: list[int], part: int) -> None:
        broker = self._broker
        if self._dead:
            raise ProducerClosed
        assert broker.in_flight.get(part, 0) == 0, "two batches of one partition in flight"
        broker.in_flight[part] = 1
        await asyncio.sleep(0)
        broker.in_flight[part] = 0
        failure = broker.failures.pop(0) if broker.failures else ""
        if failure != "refused":
            broker.landed.setdefault(part, []).extend(rows)
        if failure:
            self._dead = True
            raise KafkaTimeoutError


@contextlib.asynccontextmanager
async def relay_of(broker: Broker, store: MemoryStore) -> AsyncIterator[Relay]:
    metrics = EngineMetrics(CollectorRegistry())
    keeper = ProducerKeeper(make=broker.new_producer, topics=())
    relay = Relay(store=store, keeper=keeper, topic="signals", metrics=metrics, rows_max=5)
    task = asyncio.create_task(relay.run())
    try:
        async with asyncio.timeout(10):
            yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def store_with(rows: int, parts: int = 1) -> MemoryStore:
    return MemoryStore(
        ledger={
            part: [LedgerRow(part, seq, str(uuid4()), "acme", "t", b"{}", 1) for seq in range(1, rows + 1)]
            for part in range(parts)
        }
    )


async def test_everything_above_the_start_is_published_in_order() -> None:
    """Also what is committed later; what was published before is not."""
    broker, store = Broker(), store_with(10, parts=2)
    async with relay_of(broker, store) as relay:
        relay.start(0, acked_seq=4, out_seq=8, ledger_ms=7)
        relay.start(1, acked_seq=0, out_seq=10, ledger_ms=7)
        await relay.flush()
        assert relay.acked_seq(0) == 8
        relay.committed(0, 10)
        assert relay.unpublished() == 2
        await relay.flush()
    assert broker.landed == {0: [5, 6, 7, 8, 9, 10], 1: list(range(1, 11))}
    assert broker.producers == 1


async def test_a_failed_batch_is_repeated_with_a_new_producer() -> None:
    """Whether it landed or not, and while the old one is taken apart yet; rows may repeat, never miss, never move."""
    for failure in ("refused", "landed unanswered"):
        broker = Broker("", failure)
        async with relay_of(broker, store_with(10)) as relay:
            relay.start(0, acked_seq=0, out_seq=10, ledger_ms=7)
            await relay.flush()
        first_times = list(dict.fromkeys(broker.landed[0]))
        assert first_times == list(range(1, 11))
        assert (broker.producers, broker.outlived) == (2, 1)


@pytest.mark.parametrize("turns", range(12))
async def test_a_partition_that_comes_while_a_batch_fails_is_published(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever that is: its first batch may find that the producer was dropped just now."""
    monkeypatch.setattr(relay_module, "_RETRY_SECONDS", 0)
    broker, store = Broker("refused"), store_with(3, parts=2)
    async with relay_of(broker, store) as relay:
        relay.start(0, acked_seq=0, out_seq=3, ledger_ms=7)
        for _ in range(turns):
            await asyncio.sleep(0)
        relay.start(1, acked_seq=0, out_seq=3, ledger_ms=7)
        await relay.flush()
    assert broker.landed == {0: [1, 2, 3], 1: [1, 2, 3]}


async def test_a_broker_that_is_away_is_waited_for() -> None:
    """Nothing is lost meanwhile."""
    broker = Broker("away")
    async with relay_of(broker, store_with(3)) as relay:
        relay.start(0, acked_seq=0, out_seq=3, ledger_ms=7)
        await relay.flush()
    assert broker.landed == {0: [1, 2, 3]}


async def test_a_partition_that_was_taken_away_is_not_waited_for() -> None:
    """Its lane is gone; a new claim starts where the lease says."""
    async with relay_of(Broker(), store_with(3)) as relay:
        relay.start(0, acked_seq=0, out_seq=3, ledger_ms=7)
        relay.stop(0)
        assert relay.unpublished() == 0
        assert relay.acked_seq(0) == 0
        await relay.flush()


async def test_what_is_wanted_again_is_sent_again_beside_what_is_new() -> None:
    """Each range once, in order, whatever fails meanwhile; a range that nobody wants any more is forgotten."""
    first, second = uuid4(), uuid4()
    broker = Broker("", "refused")
    async with relay_of(broker, store_with(12)) as relay:
        relay.start(0, acked_seq=8, out_seq=10, ledger_ms=7)
        assert relay.repeat(1, {first: range(1, 2)}) == {}
        wanted = {first: range(2, 6), second: range(4, 5)}
        assert relay.repeat(0, wanted) == {first: 1, second: 3}

        async def sent() -> bool:
            return relay.repeat(0, wanted) == {first: 5, second: 4}

        await until(sent, timeout_seconds=5, what="both ranges sent again")
        relay.repeat(0, {})
        relay.committed(0, 12)
        await relay.flush()
        assert relay.acked_seq(0) == 12
    new = [seq for seq in broker.landed[0] if seq > 8]
    again = [seq for seq in broker.landed[0] if seq <= 8]
    assert (new, again) == ([9, 10, 11, 12], [2, 3, 4, 5, 4])


async def test_rows_that_a_failover_lost_are_not_waited_for() -> None:
    """What is left is published and the partition given up, so that intake does not stand still; the others go on."""
    broker, store = Broker(), store_with(3, parts=2)
    async with relay_of(broker, store) as relay:
        relay.start(0, acked_seq=1, out_seq=5, ledger_ms=7)
        await relay.flush()
        assert relay.unpublished() == 0
        relay.start(1, acked_seq=0, out_seq=3, ledger_ms=7)
        await relay.flush()
    assert broker.landed == {0: [2, 3], 1: [1, 2, 3]}
