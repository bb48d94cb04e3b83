"""Records of one request on their way to the partitions, without a broker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from services.ingest.delivery import Delivery, Record
from services.ingest.inflight import InFlight, Overloaded
from services.ingest.metrics import IngestMetrics
from services.ingest.producers import ProducerKeeper
from services.ingest.publisher import Publisher

KIB = 1024


class Batch(list[bytes]):
    """What the library's builder keeps."""

    def append(self, *, value: bytes, **_: Any) -> bool:  # type: ignore[override]
        super().append(value)
        return True

    def close(self) -> None:
        pass


class Producer:
    """One whose broker confirms at once."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, Batch]] = []

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        self.sent.append((topic, partition, batch))
        confirmation = asyncio.get_running_loop().create_future()
        confirmation.set_result(SimpleNamespace(offset=7))
        return confirmation


def new_publisher(inflight: InFlight) -> tuple[Publisher, Producer]:
    """Two topics of two partitions, and what its batches are sent to."""
    keeper = ProducerKeeper(make=lambda: None, topics=())
    keeper.current = producer = Producer()
    partitions = {"events": 2, "dead": 2}
    return Publisher(
        keeper=keeper,
        partitions=partitions,
        inflight=inflight,
        metrics=IngestMetrics(),
        ack_seconds=5,
        produce_bytes=300 * KIB,
    ), producer


async def test_what_is_too_much_for_one_batch_leaves_in_its_order() -> None:
    """In batches of `produce_bytes` and a part more at most; and nothing is held when all is confirmed."""
    inflight = InFlight(bytes_max=10_000 * KIB, requests_max=1)
    publisher, producer = new_publisher(inflight)
    events = [Record(number % 2, b"key", b"%03d" % number + bytes(60 * KIB)) for number in range(20)]
    delivery = Delivery()
    publisher.put({"events": events, "dead": [Record(1, None, b"letter", [("reason", b"r")])]}, delivery)
    assert inflight.held_bytes > 20 * 60 * KIB
    with pytest.raises(Overloaded):
        publisher.put({"events": 10 * events}, Delivery())
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        writers = [group.create_task(writer.run()) for writer in publisher._all_writers()]
        await delivery.wait(5)
        for writer in writers:
            writer.cancel()
    for partition in (0, 1):
        batches = [batch for topic, number, batch in producer.sent if (topic, number) == ("events", partition)]
        assert [int(value[:3]) for batch in batches for value in batch] == list(range(partition, 20, 2))
        assert len(batches) > 1
        assert all(sum(map(len, batch)) < (300 + 128) * KIB for batch in batches)
    assert delivery.next_offsets[("dead", 1)] == 8
    assert inflight.held_bytes == 0
