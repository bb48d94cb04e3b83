"""How intake joins its group and leaves it, also while the broker is away."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from services.notifier.intake import Intake, IntakeParts
from services.runtime import kafka
from services.runtime.health import Health
from services.runtime.process import Stopping


class Broker:
    """A broker that is away: nothing can be read of it. Its consumers fail to start, and then cannot be stopped."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.stopping = Stopping()
        self.asked = 0

    def new_consumer(self) -> Broker:
        """Another try; the second one is during the process's end."""
        self.asked += 1
        if self.asked == 2:
            self.stopping.request()
        return self

    async def start(self) -> None:
        """Cannot connect."""
        raise self._error

    async def stop(self) -> None:
        """Waits for an answer that never comes."""
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "error", [KafkaConnectionError(), OSError(), TimeoutError()], ids=lambda error: type(error).__name__
)
async def test_a_broker_that_is_away_is_waited_for_and_holds_up_no_end(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its absence shows."""
    monkeypatch.setattr(kafka, "_LEAVE_SECONDS", 0.01)
    broker = Broker(error)
    intake = _intake(broker)
    await asyncio.wait_for(intake.run(), 5)
    assert (broker.asked, intake.stopped.is_set()) == (2, True)


class Idle:
    """A broker that has nothing; the process is stopped once it was asked."""

    def __init__(self) -> None:
        self.stopping = Stopping()
        self.asked: list[int] = []

    def new_consumer(self) -> Idle:
        """One is enough."""
        return self

    def assignment(self) -> set[Any]:
        """No partition yet."""
        return set()

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        """Nothing."""
        self.asked.append(max_records)
        self.stopping.request()
        return {}

    def subscribe(self, topics: list[str], listener: object) -> None:
        """Takes it in."""

    async def start(self) -> None:
        """At once."""

    stop = start


async def test_no_more_is_read_at_once_than_one_transaction_may_hold() -> None:
    """How much that is the writer knows."""
    idle = Idle()
    await _intake(idle, writer=SimpleNamespace(records_max=17)).run()
    assert idle.asked == [17]


def _intake(broker: Any, *, writer: object = None) -> Intake:
    parts = IntakeParts(
        new_consumer=broker.new_consumer,
        topic="signals",
        store=cast(Any, None),
        writer=cast(Any, writer),
        metrics=cast(Any, None),
        health=Health(checks={}),
        stopping=broker.stopping,
    )
    return Intake(parts)
