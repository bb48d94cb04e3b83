"""The demo reads a real topic completely, each record once, in the order of the log."""

from __future__ import annotations

from deploy.demo.topic_reader import TopicReader
from schemas.topics import PRODUCT_EVENTS
from services.runtime.kafka import create_topics, new_producer


async def test_reads_everything_once_up_to_the_end(kafka_bootstrap: str, topic_prefix: str) -> None:
    """The second call gives only what came after the first; a record without a key is a tick."""
    await create_topics(kafka_bootstrap, [PRODUCT_EVENTS], prefix=topic_prefix, partitions=3, replication=1)
    name = PRODUCT_EVENTS.named(topic_prefix)
    producer = new_producer(kafka_bootstrap, client_id="test")
    await producer.start()
    try:
        async with TopicReader(kafka_bootstrap, PRODUCT_EVENTS, prefix=topic_prefix) as reader:
            assert await reader.read_to_end() == []
            for number in range(60):
                await producer.send(name, key=b"acme", value=b"%d" % number, partition=number % 3)
            await producer.flush()
            first = await reader.read_to_end()
            for partition in range(3):
                values = [int(record.value) for record in first if record.partition == partition]
                assert values == list(range(partition, 60, 3))
            await producer.send_and_wait(name, value=b"tick", partition=1)
            (tick,) = await reader.read_to_end()
            assert (tick.key, tick.partition) == (None, 1)
            assert tick.append_ms >= max(record.append_ms for record in first if record.partition == 1)
    finally:
        await producer.stop()
