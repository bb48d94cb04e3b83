"""What becomes of claimed deliveries whose endpoint is changed, disabled or cannot be read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.notifier.claimer import Claimer, ClaimerParts, Deliverer, Wake
from services.notifier.dispatcher import Dispatcher
from services.notifier.domain.outcome import Answer, Result
from services.notifier.recipients import Unsendable
from services.notifier.sender.request import Recipient
from services.notifier.store.queue import Claimed
from services.runtime.health import Health
from tests.unit.notifier.test_dispatcher import claims, recipient
from tests.waiting import until


class World:
    """Endpoints and a queue in memory; an attempt ends when released."""

    def __init__(self, *due: Claimed) -> None:
        self.due = list(due)
        self.given_back: list[Claimed] = []
        self.statements = 0
        self.endpoints = {claim.endpoint_id: recipient(claim.endpoint_id, cap=1) for claim in due}
        self.seen: dict[str, Recipient] = {}
        self.sent: list[tuple[int, int]] = []
        self.release = asyncio.Semaphore(0)
        self.away = self.late = False
        wake = Wake()
        self.dispatcher = Dispatcher(self._deliver, in_flight_max=10, want_more=wake)
        parts = ClaimerParts(
            queue=cast(Any, SimpleNamespace(claim=self._claim, release=self._release)),
            recipients=cast(Any, SimpleNamespace(of=self._of, newest=self._newest)),
            dispatcher=self.dispatcher,
            outcomes=cast(Any, SimpleNamespace(congested=False)),
            wake=wake,
            health=Health(checks={}),
        )
        self.claimer = Claimer(parts, poll_seconds=0.01)

    async def _claim(self, queued: object, **_: object) -> list[Claimed]:
        taken, self.due = self.due, []
        return taken

    async def _release(self, given: list[Claimed]) -> None:
        self.statements += 1
        await asyncio.sleep(0.01)
        self.given_back += given

    async def _of(self, given: Iterable[Claimed]) -> dict[str, Recipient]:
        if self.away:
            raise ConnectionResetError
        return {claim.endpoint_id: self.endpoints[claim.endpoint_id] for claim in given}

    async def _newest(self, ids: Iterable[str]) -> dict[str, Recipient]:
        # It is used before anything else runs.
        self.seen = {id_: self.endpoints[id_] for id_ in ids if id_ in self.endpoints}
        return self.seen

    async def _deliver(self, delivery: Claimed, to: Recipient | Unsendable) -> Result | None:
        self.sent.append((delivery.id, to.revision))
        await self.release.acquire()
        return None if self.late else Result.HTTP_2XX

    async def count_sent(self, count: int) -> None:
        """So many attempts have begun."""

        async def enough() -> bool:
            return len(self.sent) >= count

        await until(enough)

    async def has_given_back(self, *expected: Claimed) -> None:
        """These leases, and no others, were given back."""

        async def all_of_them() -> bool:
            return self.given_back == list(expected)

        await until(all_of_them)

    @asynccontextmanager
    async def claiming(self) -> AsyncIterator[None]:
        """The claimer runs meanwhile; one attempt may be left to end."""
        running = asyncio.create_task(self.claimer.run())
        yield
        self.release.release()
        await self.claimer.stop(finish_seconds=5)
        await running


async def test_what_waits_goes_out_on_the_newest_terms() -> None:
    """A key that was ended for a leak signs nothing that had been claimed under it."""
    first, second = claims("a", 2)
    world = World(first, second)
    async with world.claiming():
        await world.count_sent(1)
        world.endpoints["a"] = replace(world.endpoints["a"], revision=2)

        async def renewed() -> bool:
            return world.seen.get("a") == world.endpoints["a"]

        await until(renewed)
        world.release.release()
        await world.count_sent(2)
        assert world.sent == [(first.id, 1), (second.id, 2)]


async def test_what_waits_for_an_endpoint_that_is_left_alone_now_is_given_back() -> None:
    """Only what is on the wire goes on."""
    offered = claims("a", 3)
    world = World(*offered)
    async with world.claiming():
        await world.count_sent(1)
        del world.endpoints["a"]
        await world.has_given_back(*offered[1:])


async def test_what_cannot_be_sent_because_its_endpoint_cannot_be_read_is_given_back() -> None:
    """No delivery waits for the end of a lease that nobody uses."""
    offered = claims("a", 2)
    world = World(*offered)
    world.away = True
    async with world.claiming():
        await world.has_given_back(*offered)


async def test_what_waited_too_long_is_given_back_together() -> None:
    """A lane of deliveries whose leases are about to end costs no statement each."""
    offered = claims("a", 200)
    world = World(*offered)
    world.late = True
    for _ in offered:
        world.release.release()
    async with world.claiming():
        await world.has_given_back(*offered)
        assert world.statements < 10


async def test_what_turns_out_to_have_waited_too_long_during_the_drain_is_given_back() -> None:
    """Nobody asks for it again in this process, and its successor need not wait for the end of its lease."""
    offered = claims("a", 1)
    world = World(*offered)
    world.late = True
    async with world.claiming():
        await world.count_sent(1)
    assert world.given_back == offered


async def test_what_does_not_end_during_the_drain_is_cut_off_and_given_back() -> None:
    """An endpoint that answers too slowly holds no process up."""
    offered = claims("a", 1)
    world = World(*offered)
    running = asyncio.create_task(world.claimer.run())
    await world.count_sent(1)
    await world.claimer.stop(finish_seconds=0.01)
    assert world.given_back == offered
    await running


@pytest.mark.parametrize(
    ("timeout_seconds", "waited_seconds", "held", "sent"),
    [(15, 43, True, True), (15, 45, True, False), (59, 14, True, True), (15, 2, False, False), (15, 0, False, True)],
)
async def test_what_could_outlast_its_lease_or_has_lost_it_is_not_attempted(
    timeout_seconds: float, waited_seconds: float, held: bool, sent: bool
) -> None:
    """Of a lease of a minute; a quarter of it may always be waited, and after a second it is looked for."""
    put: list[Any] = []

    async def holds(_: Claimed) -> bool:
        return held

    (claim,) = claims("a", 1)
    waiting = replace(claim, claimed_at=time.monotonic() - waited_seconds)
    deliver = _deliverer(holds, put)
    result = await deliver(waiting, replace(recipient("a", 1), timeout_seconds=timeout_seconds))
    assert (result, len(put)) == ((Result.HTTP_2XX, 1) if sent else (None, 0))


async def test_what_waits_too_long_while_it_is_looked_up_is_not_attempted() -> None:
    """Of a database that is slow to answer the answer comes when too little of the lease is left."""
    (claim,) = claims("a", 1)
    waiting = SimpleNamespace(claimed_at=time.monotonic() - 2, id=claim.id)

    async def holds(_: Claimed) -> bool:
        waiting.claimed_at -= 50
        return True

    put: list[Any] = []
    assert await _deliverer(holds, put)(cast(Any, waiting), recipient("a", 1)) is None
    assert not put


def _deliverer(holds: Callable[[Claimed], Awaitable[bool]], put: list[Any]) -> Deliverer:
    """With a lease of a minute; all that is attempted succeeds and is put into `put`."""

    async def attempt(delivery: Claimed, to: Recipient) -> Any:
        return SimpleNamespace(answer=Answer(result=Result.HTTP_2XX))

    async def put_in(attempt: Any) -> None:
        put.append(attempt)

    return Deliverer(
        queue=cast(Any, SimpleNamespace(holds=holds)),
        sender=cast(Any, SimpleNamespace(attempt=attempt)),
        outcomes=cast(Any, SimpleNamespace(put=put_in)),
        lease_seconds=60,
    )
