"""One member of a consumer group, over clients of the library that may fail or hang and are replaced.

What is known of the library is kept here: it makes an assignment active before it tells of it, so records from a wrong
place may come first; while a rebalance goes on it tells the assignment of before; a poll that waits for an assignment
does not return by itself; and a client whose own task has ended never starts it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from services.runtime.bounded import ended
from services.runtime.standstill import Standstill

log = structlog.get_logger(__name__)

# The library waits for a request's whole time-out at each broker that is frozen, in an order of chance: the next
# client may meet another one first, and whoever starts it may be silent for a minute at most.
_START_SECONDS = 20.0
_LEAVE_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_POLL_SECONDS_MAX = 1.0
_COMMIT_SECONDS_MAX = 2.0

_Places = Collection[TopicPartition]


class Bounds(NamedTuple):
    """The offsets of a partition's oldest record and behind its newest one."""

    begins: int
    ends: int


class GroupMember:
    """Reads one topic; partitions are named by their numbers.

    A partition is paused at its assignment, until it is read from a place that its user knows. The group waits while
    `on_assigned` and `on_revoked` are told of partitions: the first does no I/O, the second may end what is under way.
    `new_consumer` makes clients that are neither started nor subscribed. Where KafkaErrors do not pass, leave, for
    polling mends no client; the next `join` makes a new one.
    """

    def __init__(
        self,
        *,
        new_consumer: Callable[[], Any],
        topic: str,
        on_assigned: Callable[[Collection[int]], None],
        on_revoked: Callable[[Collection[int]], Awaitable[None]],
    ) -> None:
        self._new_consumer = new_consumer
        self._topic = topic
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._client: Any = None
        self._standstill = Standstill()

    @property
    def joined(self) -> bool:
        """Whether there is a client, which may wait for its partitions yet."""
        return self._client is not None

    async def join(self) -> None:
        """Join with a new client; one that cannot start is taken down. Raises KafkaError, TimeoutError and OSError."""
        self._standstill.forget()
        client = self._new_consumer()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await client.start()
        except BaseException:
            # Cancelled as well: a half started client holds connections and tasks that nothing else ends.
            await _stop(client)
            raise
        self._client = client
        # Not before the start, which would wait for the group without an end.
        listener = _Listener(partial(self._tell_assigned, client), partial(self._tell_revoked, client))
        client.subscribe([self._topic], listener=listener)

    async def leave(self) -> None:
        """Leave, so that others take over at once; a broker that is away cannot stretch it. Nobody is told of it."""
        if self._client is not None:
            client, self._client = self._client, None
            await _stop(client)

    def assigned(self) -> list[int]:
        """The partitions, in their order; while a rebalance goes on, those of before it."""
        return sorted(place.partition for place in self._client.assignment()) if self.joined else []

    async def bounds(self, parts: Collection[int], *, beat: Callable[[], None]) -> dict[int, Bounds]:
        """Ask the broker; `beat` is called between two questions, each of which may take long. Raises KafkaError."""
        places = [self._place(part) for part in parts]
        beat()
        begins = await self._client.beginning_offsets(places)
        beat()
        ends = await self._client.end_offsets(places)
        return {place.partition: Bounds(begins[place], ends[place]) for place in places}

    def read_from(self, part: int, offset: int) -> bool:
        """Seek and resume; False, and nothing done, if it is not assigned any more."""
        if not self.seek(part, offset):
            return False
        self.resume([part])
        return True

    def seek(self, part: int, offset: int) -> bool:
        """Have the next records begin there; False, and nothing done, if it is not assigned any more."""
        places = self._ours([part])
        for place in places:
            self._client.seek(place, offset)
        return bool(places)

    def pause(self, parts: Iterable[int]) -> None:
        """Return no more records of these, as far as they are assigned."""
        self._client.pause(*self._ours(parts))

    def resume(self, parts: Iterable[int]) -> None:
        """Return records of these again; what was fetched ahead of their pause is fetched once more."""
        self._client.resume(*self._ours(parts))

    async def poll(self, wait_ms: int, *, records_max: int | None = None) -> dict[int, Sequence[Any]]:
        """Records by partition, after `wait_ms` at the latest, or a second in a rebalance. Raises KafkaError."""
        polled: dict[TopicPartition, Sequence[Any]] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS_MAX):
                polled = await self._client.getmany(timeout_ms=wait_ms, max_records=records_max)
        if records_max is not None and sum(map(len, polled.values())) >= records_max:
            # The client gives what it has of one partition before it comes to the next, which waits meanwhile.
            self.forgive()
        return {place.partition: records for place, records in polled.items()}

    async def hangs(self, next_offsets: Mapping[int, int]) -> bool:
        """Whether a partition has stood at its place for half a minute while records wait there, or a rebalance has
        taken two. Raises KafkaError."""
        places = {self._place(part): offset for part, offset in next_offsets.items()}
        found = await self._standstill.found(self._client, places)
        if found:
            log.error("consumer_hangs", topic=self._topic)
        return found

    def forgive(self) -> None:
        """Count from now how long partitions stand: until now they had their reasons."""
        self._standstill.forget()

    async def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Tell Kafka's lag tools, which alone read it; a failure does not matter."""
        if self.joined:
            # While the broker is away the client would try again for ever.
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_COMMIT_SECONDS_MAX):
                    await self._client.commit({self._place(part): offset for part, offset in next_offsets.items()})

    def end_of(self, part: int) -> int | None:
        """The offset behind its newest record as of the last fetch; None before that, or if it is not assigned."""
        ends: list[int | None] = [self._client.highwater(place) for place in self._ours([part])]
        return ends[0] if ends else None

    def heard_at_ms(self, part: int) -> float:
        """When the broker last answered a fetch of a partition that has an end."""
        heard: float = self._client.last_poll_timestamp(self._place(part))
        return heard

    # Once a client was left, nobody hears what it tells.

    def _tell_assigned(self, client: Any, places: _Places) -> None:
        if client is self._client:
            self.forgive()
            client.pause(*places)
            self._on_assigned([place.partition for place in places])

    async def _tell_revoked(self, client: Any, places: _Places) -> None:
        if client is self._client:
            self.forgive()
            await self._on_revoked([place.partition for place in places])

    def _place(self, part: int) -> TopicPartition:
        return TopicPartition(self._topic, part)

    def _ours(self, parts: Iterable[int]) -> list[TopicPartition]:
        assigned = self._client.assignment() if self.joined else ()
        return [place for place in map(self._place, parts) if place in assigned]


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Passes on what one client tells."""

    def __init__(
        self, on_assigned: Callable[[_Places], None], on_revoked: Callable[[_Places], Awaitable[None]]
    ) -> None:
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked

    def on_partitions_assigned(self, assigned: _Places) -> None:
        self._on_assigned(assigned)

    async def on_partitions_revoked(self, revoked: _Places) -> None:
        await self._on_revoked(revoked)


async def _stop(client: Any) -> None:
    """End it and all of its tasks.

    The library gives its end up half-way at whatever failed in it before, a cancelled fetch as well, and has no second
    try: what it leaves would fetch and send heartbeats for as long as the process lives.
    """
    if await ended(client.stop(), seconds=_LEAVE_SECONDS):
        return
    if client._coordinator is not None:
        # Heartbeats end when there is no member to tell of.
        client._coordinator.reset_generation()
    for part in (client._fetcher, client._client):
        if part is not None:
            await ended(part.close(), seconds=_CLOSE_SECONDS)
