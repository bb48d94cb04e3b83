"""The events topic for operators: its bounds, ranges of its records, single records appended. Outside any group.

Every call connects and disconnects: such calls are rare, and nothing of them may lean on what the engine's loop uses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.activation_engine.decoder import Record
from services.activation_engine.log_probe import answering

_CLOSE_SECONDS = 5.0
# Records handed over at once.
_CHUNK_RECORDS = 500


@dataclass(frozen=True, slots=True)
class Bounds:
    """The offset of the oldest record that is kept, and the offset after the newest."""

    begin: int
    end: int


class EventsLog:
    """`new_consumer` and `new_producer` make clients that are not started. Every call may raise LogUnreachable."""

    def __init__(self, *, new_consumer: Callable[[], Any], new_producer: Callable[[], Any], topic: str) -> None:
        self._new_consumer = new_consumer
        self._new_producer = new_producer
        self.topic = topic

    async def bounds(self, part: int) -> Bounds:
        """Where the partition begins and ends."""
        async with _started(self._new_consumer) as consumer, answering():
            place = self._at(part)
            begins, ends = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
            return Bounds(begins[place], ends[place])

    async def append_time(self, part: int, offset: int) -> int | None:
        """The append time in ms of the record at this offset, which is below the end; None when it is not kept."""
        async with contextlib.aclosing(self.read(part, offset, offset + 1)) as found:
            async for records in found:
                return records[0].timestamp if records[0].offset == offset else None
        return None

    async def read(self, part: int, start: int, end: int) -> AsyncGenerator[list[Record], None]:
        """The records from `start` to before `end`, some at a time; from the oldest that is kept, if that is later."""
        place = self._at(part)
        async with _started(self._new_consumer) as consumer:
            consumer.assign([place])
            consumer.seek(place, start)
            position = start
            while position < end:
                polled = await _poll(consumer, place)
                records = [record for record in polled if record.offset < end]
                if records:
                    yield records
                position = polled[-1].offset + 1

    async def append(self, part: int, *, key: bytes | None, value: bytes | None) -> int:
        """Append a record; its offset, once all in-sync replicas have it. After an error it may be there or not."""
        async with _started(self._new_producer) as producer, answering():
            # In a batch of its own, because the simple way takes no record without key and value.
            batch = producer.create_batch()
            if batch.append(key=key, value=value, timestamp=None) is None:
                raise ValueError("the record exceeds a batch")
            batch.close()
            sent = await producer.send_batch(batch, self.topic, partition=part)
            return int((await sent).offset)

    def _at(self, part: int) -> TopicPartition:
        return TopicPartition(self.topic, part)


async def _poll(consumer: Any, place: TopicPartition) -> list[Record]:
    async with answering():
        while True:
            polled: list[Record] = (await consumer.getmany(timeout_ms=500, max_records=_CHUNK_RECORDS)).get(place, [])
            if polled:
                return polled


@contextlib.asynccontextmanager
async def _started(new_client: Callable[[], Any]) -> AsyncIterator[Any]:
    client = new_client()
    try:
        async with answering():
            await client.start()
        yield client
    finally:
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await client.stop()
