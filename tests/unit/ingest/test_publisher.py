"""Records of one request on their way to the partitions, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from services.ingest.delivery import RECORD_BYTES_MAX, BrokerUnavailable, Record
from services.ingest.inflight import InFlight, Overloaded
from services.ingest.metrics import IngestMetrics
from services.ingest.publisher import Publisher
from services.ingest.settings import IngestSettings
from services.runtime.kafka import BATCH_BYTES_MAX
from services.runtime.producers import ProducerKeeper

KIB = 1024


class Batch(list[bytes]):
    """What the library's builder keeps."""

    def append(self, *, value: bytes, **_: Any) -> bool:  # type: ignore[override]
        super().append(value)
        return True

    def close(self) -> None:
        pass


class Producer:
    """One whose broker confirms at once, on all partitions but those that are silent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, Batch]] = []
        self.started = asyncio.Event()
        self.silent: set[int] = set()

    async def start(self) -> None:
        self.started.set()

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        self.sent.append((topic, partition, batch))
        return asyncio.ensure_future(self._confirm(partition))

    async def _confirm(self, partition: int) -> Any:
        if partition in self.silent:
            await asyncio.Event().wait()
        return SimpleNamespace(offset=7)


def new_publisher(producer: Producer, inflight: InFlight, ack_seconds: float) -> Publisher:
    """Two topics of two partitions."""
    return Publisher(
        keeper=ProducerKeeper(make=lambda: producer, topics=()),
        partitions={"events": 2, "dead": 2},
        inflight=inflight,
        metrics=IngestMetrics(),
        ack_seconds=ack_seconds,
        produce_bytes=300 * KIB,
    )


@asynccontextmanager
async def working(publisher: Publisher, producer: Producer) -> AsyncIterator[None]:
    """While its worker runs."""
    worker = asyncio.create_task(publisher.run())
    try:
        async with asyncio.timeout(10):
            await producer.started.wait()
            yield
    finally:
        worker.cancel()


async def test_what_is_too_much_for_one_batch_leaves_in_its_order() -> None:
    """In batches of `produce_bytes` and a part more at most; and nothing is held when all is confirmed."""
    inflight, producer = InFlight(bytes_max=10_000 * KIB, requests_max=1), Producer()
    publisher = new_publisher(producer, inflight, ack_seconds=5)
    events = [Record(number % 2, b"key", b"%03d" % number + bytes(60 * KIB)) for number in range(20)]
    async with working(publisher, producer):
        delivery = publisher.put({"events": events, "dead": [Record(1, None, b"letter", [("reason", b"r")])]})
        assert inflight.held_bytes > 20 * 60 * KIB
        with pytest.raises(Overloaded):
            publisher.put({"events": 10 * events})
        await delivery.wait()
    for partition in (0, 1):
        batches = [batch for topic, number, batch in producer.sent if (topic, number) == ("events", partition)]
        assert [int(value[:3]) for batch in batches for value in batch] == list(range(partition, 20, 2))
        assert len(batches) > 1
        assert all(sum(map(len, batch)) < (300 + 128) * KIB for batch in batches)
    assert delivery.next_offsets[("dead", 1)] == 8
    assert inflight.held_bytes == 0


async def test_the_greatest_record_fits_behind_what_others_have_put_into_a_batch() -> None:
    """Where a batch has no room the publisher ends, and with it ingest: no event may ever be so large."""
    [bound] = [one.le for one in IngestSettings.model_fields["produce_bytes"].metadata if hasattr(one, "le")]
    before = [Record(0, b"key", bytes(bound // 5 - 67 - (number == 0))) for number in range(5)]
    producer, inflight = Producer(), InFlight(bytes_max=10_000 * KIB, requests_max=1)
    producer.create_batch = lambda: BatchBuilder(BATCH_BYTES_MAX, 0)  # type: ignore[method-assign]
    publisher = new_publisher(producer, inflight, ack_seconds=5)
    publisher.produce_bytes = bound
    async with working(publisher, producer):
        for record in (*before, Record(0, bytes(1_020), bytes(RECORD_BYTES_MAX))):
            delivery = publisher.put({"events": [record]})
        await delivery.wait()
    batches: list[Any] = [batch for _, _, batch in producer.sent]
    assert [batch.record_count() for batch in batches] == [6]


async def test_nobody_waits_for_ever() -> None:
    """Not while the worker runs and Kafka confirms nothing, nor when a writer has died of something unexpected."""
    producer = Producer()
    producer.silent.add(0)
    publisher = new_publisher(producer, InFlight(bytes_max=KIB, requests_max=1), ack_seconds=0)
    async with working(publisher, producer):
        late = publisher.put({"events": [Record(0, b"key", b"value")]})
        # The batch has longer than what it carries.
        publisher.ack_seconds = 60
        with pytest.raises(BrokerUnavailable, match="not confirmed in time"):
            await late.wait()
    worker = asyncio.create_task(publisher.run())
    orphan = publisher.put({"events": [Record(0, b"key", b"value"), Record(1, b"key", b"value")]})
    producer.create_batch = None  # type: ignore[assignment,method-assign]
    async with asyncio.timeout(10):
        with pytest.raises(BrokerUnavailable):
            await orphan.wait()
    with pytest.raises(ExceptionGroup):
        await worker
    assert publisher.keeper.current is not None
    assert not publisher.available
    with pytest.raises(BrokerUnavailable):
        publisher.put({"events": [Record(0, b"key", b"value")]})
    async with asyncio.timeout(10):
        await publisher.flush(60)


async def test_what_is_done_is_not_kept_behind_what_is_not() -> None:
    """Thousands are confirmed while one batch is not."""
    producer = Producer()
    publisher = new_publisher(producer, InFlight(bytes_max=100 * KIB, requests_max=1), ack_seconds=5)
    async with working(publisher, producer):
        producer.silent.add(0)
        head = publisher.put({"events": [Record(0, b"key", b"value")]})
        for _ in range(100):
            await publisher.put({"events": [Record(1, b"key", b"value")]}).wait()
        assert list(publisher.awaited) == [head]


async def test_a_request_ends_in_its_own_time() -> None:
    """Whatever it waits behind: each batch may be confirmed before its own end, and together they take too long."""
    publisher = new_publisher(Producer(), InFlight(bytes_max=KIB, requests_max=1), ack_seconds=5)
    now = asyncio.get_running_loop().time()
    confirmed, late = (publisher.put({"events": [Record(0, b"key", b"value")]}) for _ in range(2))
    confirmed.acked("events", 0, 1)
    publisher.end_late(now + 4)
    assert not late.done
    publisher.end_late(now + 6)
    await confirmed.wait()
    with pytest.raises(BrokerUnavailable, match="not confirmed in time"):
        await late.wait()
