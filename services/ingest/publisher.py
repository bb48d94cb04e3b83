"""Records to Kafka: one writer per partition, whose batch leaves as soon as the one before it was confirmed."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import msgspec
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from services.ingest.delivery import BrokerUnavailable, Delivery, Record
from services.ingest.inflight import InFlight
from services.ingest.metrics import IngestMetrics
from services.runtime.crash_points import crash_point
from services.runtime.producers import ProducerKeeper

# A part of a request is never split over two batches, so it must leave room in one.
_PART_BYTES_MAX = 131_072
_RECORD_OVERHEAD_BYTES = 64
# A request ends that much late at most. One look at all is cheaper than a timer for each.
_LOOK_SECONDS = 0.1


class _Part(msgspec.Struct):
    """Records of one request for one partition, and about what they take in a produce batch and in memory."""

    delivery: Delivery
    records: list[Record]
    size_bytes: int


class PartitionWriter:
    """The queue of one partition and the task that empties it."""

    def __init__(self, *, topic: str, partition: int, publisher: Publisher) -> None:
        self._topic = topic
        self._partition = partition
        self._publisher = publisher
        self._queue: deque[_Part] = deque()
        self._wake = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    def put(self, part: _Part) -> None:
        """Queue records; their delivery hears of them."""
        self._queue.append(part)
        self.idle.clear()
        self._wake.set()

    def fail(self, error: BrokerUnavailable) -> None:
        """Fail everything queued."""
        while self._queue:
            self._settle(self._queue.popleft(), error)

    async def run(self) -> None:
        """Worker: batch after batch, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._write()
            self.idle.set()

    async def _write(self) -> None:
        publisher = self._publisher
        producer = publisher.keeper.current
        if producer is None:
            self.fail(BrokerUnavailable("no broker answers"))
            return
        builder = producer.create_batch()
        parts = self._fill(builder)
        if not parts:
            return
        builder.close()
        error: BrokerUnavailable | None = None
        base_offset = -1
        try:
            async with asyncio.timeout(publisher.ack_seconds):
                confirmation = await producer.send_batch(builder, self._topic, partition=self._partition)
                crash_point("ingest.sent_unacked")
                base_offset = (await confirmation).offset
        except (KafkaError, TimeoutError, AssertionError) as failure:
            error = BrokerUnavailable(type(failure).__name__)
            publisher.batch_failed(producer, failure)
        end = base_offset
        for part in parts:
            end = end + len(part.records) if base_offset >= 0 else -1
            self._settle(part, error, end)

    def _fill(self, builder: Any) -> list[_Part]:
        parts: list[_Part] = []
        size_bytes = 0
        append = builder.append
        now_ms = time.time_ns() // 1_000_000
        while self._queue and size_bytes < self._publisher.produce_bytes:
            part = self._queue.popleft()
            if part.delivery.given_up:
                self._settle(part, BrokerUnavailable("given up"))
                continue
            for record in part.records:
                appended = append(timestamp=now_ms, key=record.key, value=record.value, headers=record.headers or [])
                assert appended is not None, "a batch has room for every part that is put into it"
            size_bytes += part.size_bytes
            parts.append(part)
        return parts

    def _settle(self, part: _Part, error: BrokerUnavailable | None, next_offset: int = -1) -> None:
        publisher, delivery = self._publisher, part.delivery
        publisher.inflight.release(part.size_bytes)
        if error is None:
            delivery.acked(self._topic, self._partition, next_offset)
        else:
            delivery.failed(error)
        if delivery.done:
            publisher.awaited.pop(delivery, None)


class Publisher:
    """The writers of some topics over one producer at a time."""

    def __init__(
        self,
        *,
        keeper: ProducerKeeper,
        partitions: Mapping[str, int],
        inflight: InFlight,
        metrics: IngestMetrics,
        ack_seconds: float,
        produce_bytes: int,
    ) -> None:
        self.keeper = keeper
        self.inflight = inflight
        self.ack_seconds = ack_seconds
        self.produce_bytes = produce_bytes
        # What is not done, and when it ends in loop time, in the order of these ends.
        self.awaited: dict[Delivery, float] = {}
        self._metrics = metrics
        self._ended = False
        self._writers = {
            topic: [PartitionWriter(topic=topic, partition=number, publisher=self) for number in range(count)]
            for topic, count in partitions.items()
        }

    @property
    def available(self) -> bool:
        """Whether a broker confirmed last; False answers 503 before a body is read."""
        return self.keeper.current is not None and not self._ended

    def put(self, records: Mapping[str, Sequence[Record]]) -> Delivery:
        """Hand over the records of one request by topic; the result tells what became of them within `ack_seconds`.

        Raises, and takes nothing: Overloaded when too much is in memory, BrokerUnavailable once the worker has ended.
        """
        if self._ended:
            raise BrokerUnavailable("nobody writes any more")
        delivery = Delivery()
        parts = [
            (self._writers[topic][partition], part)
            for topic, of_topic in records.items()
            for partition, part in _parts(of_topic, delivery)
        ]
        self.inflight.reserve(sum(part.size_bytes for _, part in parts))
        delivery.expect(len(parts))
        self.awaited[delivery] = asyncio.get_running_loop().time() + self.ack_seconds
        for writer, part in parts:
            writer.put(part)
        return delivery

    async def run(self) -> None:
        """Worker: keep a producer and all writers, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.keeper.run(), name="producer")
                group.create_task(self._look(), name="late")
                for writer in self._all_writers():
                    group.create_task(writer.run())
        finally:
            # Nobody is left who would confirm or end them.
            self._ended = True
            self.end_late(math.inf)

    async def flush(self, timeout_seconds: float) -> None:
        """Wait until nothing is queued or unconfirmed, at most `timeout_seconds`; not if the worker has ended."""
        if self._ended:
            return
        waits = [asyncio.ensure_future(writer.idle.wait()) for writer in self._all_writers()]
        _, unfinished = await asyncio.wait(waits, timeout=timeout_seconds)
        for wait in unfinished:
            wait.cancel()

    def batch_failed(self, producer: Any, error: BaseException) -> None:
        """Count the failure and, if `producer` was the current one, replace it and fail all that waits."""
        if isinstance(error, TimeoutError):
            label = "timeout"
        else:
            label = "too_large" if isinstance(error, MessageSizeTooLargeError) else "broker"
        self._metrics.publish_failures.labels(label).inc()
        if self.keeper.give_up(producer, type(error).__name__):
            for writer in self._all_writers():
                writer.fail(BrokerUnavailable("the producer was replaced"))

    def end_late(self, now: float) -> None:
        """Fail what was not confirmed by `now`, in loop time."""
        for delivery, _ in list(takewhile(lambda entry: entry[1] <= now, self.awaited.items())):
            del self.awaited[delivery]
            delivery.failed(BrokerUnavailable("not confirmed in time"))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.end_late(asyncio.get_running_loop().time())

    def _all_writers(self) -> Iterable[PartitionWriter]:
        return (writer for writers in self._writers.values() for writer in writers)


def _parts(records: Iterable[Record], delivery: Delivery) -> list[tuple[int, _Part]]:
    """By partition, in their order, none much larger than _PART_BYTES_MAX."""
    parts: list[tuple[int, _Part]] = []
    filling: dict[int, _Part] = {}
    for record in records:
        size_bytes = _RECORD_OVERHEAD_BYTES + len(record.value) + len(record.key or b"")
        if record.headers is not None:
            size_bytes += sum(len(name) + len(value) for name, value in record.headers)
        partition = record.partition
        part = filling.get(partition)
        if part is None or part.size_bytes + size_bytes > _PART_BYTES_MAX:
            part = filling[partition] = _Part(delivery, [record], size_bytes)
            parts.append((partition, part))
        else:
            part.records.append(record)
            part.size_bytes += size_bytes
    return parts
