"""kill -9 at each named point of the notifier: nothing owed is lost, doubled in the books, or stuck."""

from __future__ import annotations

import asyncio
import re
import signal
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

import services.notifier
from schemas.signals import Signal, encode
from tests.builders_signals import SignalPublisher, a_signal
from tests.fakes.receiver import Receiver, verify
from tests.running_notifier import NotifierClient, Servers, notifier_process, query
from tests.waiting import until

SIGNALS_PER_POINT = 40
POINTS = (
    "notifier.intake_before_commit",
    "notifier.intake_after_commit",
    "notifier.claimed",
    "notifier.connected",
    "notifier.sent",
    "notifier.read_unrecorded",
    "notifier.recorded",
)
_hit: set[str] = set()

Running = tuple[Process, NotifierClient]


@asynccontextmanager
async def both(*starting: AbstractAsyncContextManager[Running]) -> AsyncIterator[list[Running]]:
    """Processes that start at the same time."""
    async with AsyncExitStack() as stack:
        yield await asyncio.gather(*(stack.enter_async_context(one) for one in starting))


@pytest.mark.parametrize("point", POINTS)
async def test_kill_at_point_loses_nothing(surroundings: Servers, point: str) -> None:
    """One of two replicas dies, the other takes over: every owed delivery has one row, succeeds under one id with the
    same bytes, and no lease outlives its owner."""
    signals = [a_signal(account_id=f"account-{number}") for number in range(SIGNALS_PER_POINT)]
    async with Receiver() as receiver, SignalPublisher(surroundings.kafka_bootstrap, surroundings.topic) as publisher:
        # At the second turn, so that some deliveries have gone through before.
        crash_at = point if "intake" in point else f"{point}:2"
        group = {"FIRSTVALUE_NOTIFIER_GROUP": point, "FIRSTVALUE_NOTIFIER_SESSION_TIMEOUT_SECONDS": "6"}
        async with both(
            notifier_process(surroundings, group | {"FIRSTVALUE_CRASH_AT": crash_at}),
            notifier_process(surroundings, group),
        ) as ((doomed, _), (_, heir)):
            endpoint = await heir.add_endpoint(receiver.url(), timeout_seconds=1)
            for part in (0, 1):
                await publisher.publish(signals[part::2], partition=part)
            more = asyncio.create_task(_keep_publishing(publisher, signals))
            assert await asyncio.wait_for(doomed.wait(), 60) == -signal.SIGKILL, "the point was never reached"
            more.cancel()
            await asyncio.gather(more, return_exceptions=True)
            _hit.add(point)

            async def all_succeeded() -> bool:
                # One statement: rows that arrive between two would be neither open nor missing.
                ((owed, open_),) = await query(
                    surroundings,
                    """SELECT count(*), count(*) FILTER (WHERE status <> 'succeeded')
                    FROM notifier.delivery WHERE endpoint_id = $1""",
                    endpoint["id"],
                )
                return bool(owed == len(signals) and open_ == 0)

            await until(all_succeeded)
            await heir.ask("DELETE", f"/v1/endpoints/{endpoint['id']}", status=204)
        _judge(receiver, {each.id: encode(each) for each in signals}, endpoint["secret"])
    attempts = await query(
        surroundings,
        """SELECT d.id FROM notifier.delivery d JOIN notifier.attempt a ON a.delivery_id = d.id AND NOT a.late
        WHERE d.endpoint_id = $1 GROUP BY d.id, d.attempts HAVING count(*) <> d.attempts""",
        endpoint["id"],
    )
    assert attempts == [], "the count of attempts and the log agree"


async def _keep_publishing(publisher: SignalPublisher, signals: list[Signal]) -> None:
    """Until the point is hit at its second turn, whose batch must hold something."""
    while True:
        await asyncio.sleep(0.3)
        extra = a_signal(account_id="late")
        signals.append(extra)
        await publisher.publish([extra], partition=len(signals) % 2)


def _judge(receiver: Receiver, expected: dict[str, bytes], secret: str) -> None:
    """At least one verified request per signal, always the same bytes under the same id, nothing else."""
    bodies: defaultdict[str, set[bytes]] = defaultdict(set)
    for request in receiver.received:
        verify(request, secret)
        bodies[request.headers["webhook-id"]].add(request.body)
    assert bodies == {id_: {body} for id_, body in expected.items()}


def test_every_point_in_the_source_was_hit() -> None:
    """A crash point that no test reaches proves nothing; a new one must be added above."""
    folder = Path(services.notifier.__file__).parent
    named = {
        name
        for file in folder.rglob("*.py")
        for name in re.findall(r'"(notifier\.[a-z_]+)"', file.read_text(encoding="utf-8"))
        if "crash_point" in file.read_text(encoding="utf-8")
    }
    assert named == set(POINTS)
    assert _hit == set(POINTS)
