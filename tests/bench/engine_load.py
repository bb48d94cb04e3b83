"""Loads for the engine's bench: who does what, and the filling of the log at full speed or at a steady pace."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from schemas.timestamps import to_rfc3339
from tests.fakes.engine_records import now_ms
from tests.fakes.engine_room import EngineRoom

_BATCH_BYTES = 900_000
_IN_FLIGHT = 12
_DAY_MS = 86_400_000
# One in six events is one that the plan asks for.
_NAMES = ("Page Viewed", "List Opened", "Filter Applied", "Data Imported", "Settings Changed", "Search Made")
# The people of every account, by their roles.
ROLES = ("champion", "end_user", "team_lead")
_ZIPF = 1.1
_NEW_EVERY = 200
_STEP_SECONDS = 0.02

# Partition, key and value.
Prepared: TypeAlias = tuple[int, bytes, bytes]


class Sample(NamedTuple):
    """One event to make: the numbers of the account and of its person, the event's name, days to add to now."""

    account: int
    name: str
    person: int = 0
    day: int = 0


def uniform(accounts: int) -> Iterator[Sample]:
    """Any account as likely as any other."""
    while True:
        yield Sample(random.randrange(accounts), random.choice(_NAMES), random.randrange(len(ROLES)))


def skewed(accounts: int) -> Iterator[Sample]:
    """Few accounts do most of it: zipf with exponent 1.1."""
    weights = list(itertools.accumulate(1 / rank**_ZIPF for rank in range(1, accounts + 1)))
    while True:
        for account in random.choices(range(accounts), cum_weights=weights, k=1_000):
            yield Sample(account, random.choice(_NAMES), random.randrange(len(ROLES)))


def everyone_in_turn(
    accounts: int, *, day: int, name: str = "Page Viewed", person: int = 0, first: int = 0
) -> Iterator[Sample]:
    """Each account once, on a day of its own, so that every event changes what is known of another account."""
    for account in range(first, first + accounts):
        yield Sample(account, name, person, day)


def record_of(sample: Sample, number: int, at_ms: int) -> tuple[bytes, bytes]:
    """Key and value as ingest writes them, received at `at_ms` and up to a second older than that."""
    account, user = f"acc-{sample.account}", f"user-{sample.account}-{sample.person}"
    received_at = _text(at_ms + sample.day * _DAY_MS)
    occurred_at = _text(at_ms + sample.day * _DAY_MS - number % 997)
    message_id = f"b-{number:012d}"
    value = (
        f'{{"v":1,"source":"bench","message_id":"{message_id}","type":"track","account_id":"{account}",'
        f'"received_at":"{received_at}","occurred_at":"{occurred_at}",'
        f'"body":{{"type":"track","messageId":"{message_id}","userId":"{user}",'
        f'"event":"{sample.name}","properties":{{"rows":{number % 100},"kind":"pipeline"}},'
        f'"context":{{"groupId":"{account}"}},"timestamp":"{occurred_at}"}},'
        f'"event":"{sample.name}","user_id":"{user}","role":"{ROLES[sample.person]}"}}'
    )
    return account.encode(), value.encode()


_text = lru_cache(maxsize=100_000)(to_rfc3339)


class LogFiller:
    """Appends events to the room's log in big batches."""

    def __init__(self, room: EngineRoom) -> None:
        self._room = room
        self._number = itertools.count(1)
        self._new_accounts = itertools.count(10_000_000)
        self.appended = 0

    async def fill(self, samples: Iterator[Sample], count: int) -> int:
        """Append `count` events and a tick at the end of every partition; how many records that were."""
        flight: set[asyncio.Future[Any]] = set()
        batches: dict[int, Any] = {}
        for sample in itertools.islice(samples, count):
            part, key, value = self._prepared(sample)
            batch = batches.get(part)
            if (
                batch is None
                or batch.size() > _BATCH_BYTES
                or batch.append(key=key, value=value, timestamp=None) is None
            ):
                if batch is not None:
                    flight.add(await self._send(part, batch))
                batch = batches[part] = self._room.producer.create_batch()
                assert batch.append(key=key, value=value, timestamp=None) is not None
            if len(flight) >= _IN_FLIGHT:
                _, flight = await asyncio.wait(flight, return_when=asyncio.FIRST_COMPLETED)
        for part, batch in batches.items():
            flight.add(await self._send(part, batch))
        await asyncio.gather(*flight)
        await self._room.tick()
        self.appended += count + self._room.parts
        return count + self._room.parts

    def prepare(self, samples: Iterator[Sample], count: int) -> list[Prepared]:
        """Events for `pace`, one in 200 of an account never seen, which is announced. Made beforehand, for that costs
        about as much as applying them."""
        return [
            self._prepared(Sample(next(self._new_accounts), "Page Viewed") if number % _NEW_EVERY == 0 else sample)
            for number, sample in enumerate(itertools.islice(samples, count))
        ]

    async def pace(self, events: Sequence[Prepared], events_per_s: float) -> None:
        """Append at a steady rate."""
        started, sent = time.perf_counter(), 0
        while sent < len(events):
            wanted = int(events_per_s * (time.perf_counter() - started))
            await self._append_small(events[sent:wanted])
            sent = min(max(sent, wanted), len(events))
            await asyncio.sleep(_STEP_SECONDS)

    async def _append_small(self, events: Sequence[Prepared]) -> None:
        flight: list[asyncio.Future[Any]] = []
        batches: dict[int, Any] = {}
        for part, key, value in events:
            batch = batches.get(part)
            if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
                if batch is not None:
                    flight.append(await self._send(part, batch))
                batch = batches[part] = self._room.producer.create_batch()
                assert batch.append(key=key, value=value, timestamp=None) is not None
        await asyncio.gather(*flight, *[await self._send(part, batch) for part, batch in batches.items()])
        self.appended += len(events)

    async def _send(self, part: int, batch: Any) -> asyncio.Future[Any]:
        batch.close()
        sent = await self._room.producer.send_batch(batch, self._room.events_topic, partition=part)
        acknowledged: asyncio.Future[Any] = sent
        return acknowledged

    def _prepared(self, sample: Sample) -> Prepared:
        key, value = self._encode(sample)
        return self._room.part_of(key.decode()), key, value

    def _encode(self, sample: Sample) -> tuple[bytes, bytes]:
        return record_of(sample, next(self._number), now_ms())
