"""Reads a whole topic from its beginning, up to the end it has at the time of each call."""

from __future__ import annotations

from aiokafka import TopicPartition

from deploy.demo.topic_fold import LogRecord
from services.runtime.kafka import new_consumer


class TopicReader:
    """A consumer of its own, in no group; as an async context manager it connects and disconnects."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._consumer = new_consumer(bootstrap_servers, client_id="topic-reader", group_id=None)
        self._partitions: list[TopicPartition] = []

    async def __aenter__(self) -> TopicReader:
        await self._consumer.start()
        await self._consumer.client.force_metadata_update()
        numbers = await self._consumer.client.fetch_all_metadata()
        self._partitions = [
            TopicPartition(self._topic, number) for number in sorted(numbers.partitions_for_topic(self._topic) or ())
        ]
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning(*self._partitions)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def read_to_end(self) -> list[LogRecord]:
        """The records since the last call, in log order within each partition."""
        ends = await self._consumer.end_offsets(self._partitions)
        records: list[LogRecord] = []
        while any([await self._consumer.position(partition) < ends[partition] for partition in self._partitions]):
            batches = await self._consumer.getmany(timeout_ms=200)
            for partition, batch in batches.items():
                records += [
                    LogRecord(partition=partition.partition, append_ms=r.timestamp, key=r.key, value=r.value)
                    for r in batch
                ]
        return records
