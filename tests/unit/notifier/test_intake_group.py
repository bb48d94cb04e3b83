"""How intake joins its group and leaves it, also while the broker is away."""

from __future__ import annotations

import asyncio
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
    parts = IntakeParts(
        new_consumer=broker.new_consumer,
        topic="signals",
        store=cast(Any, None),
        writer=cast(Any, None),
        metrics=cast(Any, None),
        health=Health(checks={}),
        stopping=broker.stopping,
    )
    intake = Intake(parts)
    await asyncio.wait_for(intake.run(), 5)
    assert (broker.asked, intake.stopped.is_set()) == (2, True)
