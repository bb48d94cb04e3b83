"""A producer like ingest's own, but kept after a failure: shows the state that ingest has to get out of by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber
from aiokafka.structs import TopicPartition

from services.runtime.kafka import new_producer
from tests.chaos.violation import require

_LEADERLESS_SECONDS = 60.0
_SEND_SECONDS = 30.0


class KeptProducer:
    """Sends to one partition that `node_id` leads."""

    def __init__(self, bootstrap: str, topic: str, *, node_id: int, request_timeout_seconds: float) -> None:
        self._topic = topic
        self._node_id = node_id
        self._producer: Any = new_producer(bootstrap, client_id="soak", request_timeout_seconds=request_timeout_seconds)
        self._place = TopicPartition(topic, 0)

    async def start(self) -> None:
        """With one record that the broker took, so that it expects a certain number next."""
        await self._producer.start()
        partitions = await self._producer.partitions_for(self._topic)
        led = [part for part in partitions if self._leader(TopicPartition(self._topic, part)) == self._node_id]
        require(bool(led), "node", self._node_id, "leads nothing")
        self._place = TopicPartition(self._topic, led[0])
        await self._send()

    async def fail(self) -> str:
        """The failure of a batch that found no leader: its number is used up, and the broker never saw it."""
        async with asyncio.timeout(_LEADERLESS_SECONDS):
            while self._leader(self._place) not in (None, -1):
                await self._producer.client.force_metadata_update()
                await asyncio.sleep(0.1)
        return await self._failure()

    async def is_poisoned(self) -> bool:
        """Whether the broker, which leads again, refuses one batch after the other for its number."""
        return {await self._failure() for _ in range(3)} == {OutOfOrderSequenceNumber.__name__}

    async def stop(self) -> None:
        """It has nothing under way."""
        await self._producer.stop()

    def _leader(self, place: TopicPartition) -> int | None:
        leader: int | None = self._producer.client.cluster.leader_for_partition(place)
        return leader

    async def _failure(self) -> str:
        try:
            await self._send()
        except KafkaError as error:
            return type(error).__name__
        return ""

    async def _send(self) -> None:
        async with asyncio.timeout(_SEND_SECONDS):
            await self._producer.send_and_wait(self._topic, b"soak", partition=self._place.partition)
