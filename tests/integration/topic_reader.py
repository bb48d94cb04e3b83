"""What stands in a topic right now, for tests that check what was promised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiokafka import AIOKafkaConsumer

from schemas.product_event import ProductEvent, decode_product_event, decode_tick


async def each_record(kafka_bootstrap: str, topic: str) -> AsyncIterator[Any]:
    """The records of a topic, partition by partition, in order; more than there is memory for, if need be."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        assert ends, f"{topic} does not exist"
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                fetched = await consumer.getmany(partition, timeout_ms=500)
                for records in fetched.values():
                    for record in records:
                        yield record
    finally:
        await consumer.stop()


async def records_of(kafka_bootstrap: str, topic: str) -> list[Any]:
    """All records of a topic, partition by partition, in order."""
    return [record async for record in each_record(kafka_bootstrap, topic)]


async def events_of(kafka_bootstrap: str, topic: str) -> list[ProductEvent]:
    """The product events, without the ticks."""
    return [decode_product_event(record.value) for record in await records_of(kafka_bootstrap, topic) if record.key]


async def ticks_of(kafka_bootstrap: str, topic: str) -> dict[int, list[Any]]:
    """The ticks of each partition, in order."""
    ticks: dict[int, list[Any]] = {}
    for record in await records_of(kafka_bootstrap, topic):
        if record.key is None:
            ticks.setdefault(record.partition, []).append(decode_tick(record.value))
    return ticks


def message_ids_of(kafka_bootstrap: str, topic: str) -> list[str]:
    """The message ids of all product events, for tests without an event loop."""
    with ThreadPoolExecutor(1) as pool:
        events = pool.submit(asyncio.run, events_of(kafka_bootstrap, topic)).result()
    return [event.message_id for event in events]
