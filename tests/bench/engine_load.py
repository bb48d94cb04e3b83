"""Loads for the engine's bench: who does what, and the filling of the log at full speed or at a steady pace."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from schemas.timestamps import to_rfc3339
from tests.fakes.engine_records import now_ms
from tests.fakes.engine_room import EngineRoom

_BATCH_BYTES = 900_000
_IN_FLIGHT = 12
_DAY_MS = 86_400_000
# One in six events is one that the plan asks for.
_NAMES = ("Page Viewed", "List Opened", "Filter Applied", "Data Imported", "Settings Changed", "Search Made")
_ZIPF = 1.1


class Sample(NamedTuple):
    """One event to make: the account's number, the event's name, days to add to now."""

    account: int
    name: str
    day: int = 0


def uniform(accounts: int) -> Iterator[Sample]:
    """Any account as likely as any other."""
    while True:
        yield Sample(random.randrange(accounts), random.choice(_NAMES))


def skewed(accounts: int) -> Iterator[Sample]:
    """Few accounts do most of it: zipf with exponent 1.1."""
    weights = list(itertools.accumulate(1 / rank**_ZIPF for rank in range(1, accounts + 1)))
    while True:
        for account in random.choices(range(accounts), cum_weights=weights, k=1_000):
            yield Sample(account, random.choice(_NAMES))


def everyone_in_turn(accounts: int, *, day: int, name: str = "Page Viewed", first: int = 0) -> Iterator[Sample]:
    """Each account once, on a day of its own, so that every event changes what is known of another account."""
    for account in range(first, first + accounts):
        yield Sample(account, name, day)


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
            key, value = self._encode(sample)
            part = self._room.part_of(key.decode())
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

    async def pace(self, events_per_s: float, *, seconds: float) -> None:
        """Append at a steady rate, one in fifty events from an account never seen, which is announced."""
        everyone = uniform(100_000)
        step = 0.02
        started, sent = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < seconds:
            wanted = int(events_per_s * passed) - sent
            if wanted > 0:
                fresh = [Sample(next(self._new_accounts), "Page Viewed") for _ in range(wanted // 50)]
                old = itertools.islice(everyone, wanted - len(fresh))
                await self._append_small([*fresh, *old])
                sent += wanted
            await asyncio.sleep(step)

    async def _append_small(self, samples: list[Sample]) -> None:
        flight: list[asyncio.Future[Any]] = []
        batches: dict[int, Any] = {}
        for sample in samples:
            key, value = self._encode(sample)
            part = self._room.part_of(key.decode())
            batch = batches.get(part)
            if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
                if batch is not None:
                    flight.append(await self._send(part, batch))
                batch = batches[part] = self._room.producer.create_batch()
                assert batch.append(key=key, value=value, timestamp=None) is not None
        await asyncio.gather(*flight, *[await self._send(part, batch) for part, batch in batches.items()])
        self.appended += len(samples)

    async def _send(self, part: int, batch: Any) -> asyncio.Future[Any]:
        batch.close()
        sent = await self._room.producer.send_batch(batch, self._room.events_topic, partition=part)
        acknowledged: asyncio.Future[Any] = sent
        return acknowledged

    def _encode(self, sample: Sample) -> tuple[bytes, bytes]:
        account = f"acc-{sample.account}"
        at = to_rfc3339_cached(now_ms() // 1000 * 1000 + sample.day * _DAY_MS)
        number = next(self._number)
        value = (
            f'{{"v":1,"source":"bench","received_at":"{at}","occurred_at":"{at}","message_id":"b-{number:012d}",'
            f'"type":"track","account_id":"{account}","user_id":"user-{number % 7}","event":"{sample.name}",'
            f'"body":{{"type":"track","messageId":"b-{number:012d}","userId":"user-{number % 7}",'
            f'"event":"{sample.name}","properties":{{"rows":{number % 100},"kind":"pipeline"}},'
            f'"context":{{"groupId":"{account}"}},"timestamp":"{at}"}}}}'
        )
        return account.encode(), value.encode()


_texts: dict[int, str] = {}


def to_rfc3339_cached(milliseconds: int) -> str:
    """Seconds repeat thousands of times."""
    text = _texts.get(milliseconds)
    if text is None:
        text = _texts[milliseconds] = to_rfc3339(milliseconds)
    return text
