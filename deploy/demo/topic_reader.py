"""Reads a whole topic from its beginning, up to the end it has at the time of each call."""

from __future__ import annotations

from aiokafka import TopicPartition

from deploy.demo.topic_fold import LogRecord
from services.runtime.kafka import TopicSpec, check_topics, new_consumer

_POLL_MS = 200


class TopicReader:
    """A consumer of its own, in no group; as an async context manager it connects and disconnects."""

    def __init__(self, bootstrap_servers: str, topic: TopicSpec, *, prefix: str = "") -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._prefix = prefix
        self._consumer = new_consumer(bootstrap_servers, client_id="topic-reader", group_id=None)
        self._partitions: list[TopicPartition] = []

    async def __aenter__(self) -> TopicReader:
        counts = await check_topics(self._bootstrap_servers, [self._topic], prefix=self._prefix)
        self._partitions = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning(*self._partitions)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def read_to_end(self) -> list[LogRecord]:
        """The records since the last call, in log order within each partition."""
        ends = await self._consumer.end_offsets(self._partitions)
        records: list[LogRecord] = []
        while not all([await self._consumer.position(one) >= ends[one] for one in self._partitions]):
            for partition, batch in (await self._consumer.getmany(timeout_ms=_POLL_MS)).items():
                records += [
                    LogRecord(partition=partition.partition, append_ms=one.timestamp, key=one.key, value=one.value)
                    for one in batch
                ]
        return records
