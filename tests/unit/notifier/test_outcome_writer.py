"""What is counted of outcomes once they are recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from services.notifier.domain.outcome import Answer, Result
from services.notifier.sender.client import Attempt
from services.notifier.store.gates import GateEvents
from services.notifier.store.queue import Recorded
from tests.fakes.outcome_writer import writing
from tests.unit.notifier.test_dispatcher import claims


@pytest.mark.parametrize("held_up", [True, False])
async def test_first_attempts_that_the_endpoint_held_up_are_not_late(held_up: bool) -> None:
    """An endpoint that comes back, or wants no calls at night, uses up nobody's budget."""

    async def record(*_: object, **__: object) -> Recorded:
        return Recorded(set(), GateEvents(), ())

    registry = CollectorRegistry()
    delivery = replace(claims("a", 1)[0], held_up=held_up)
    answer = Answer(result=Result.HTTP_2XX, status_code=200)
    async with writing(record, registry=registry) as writer:
        await writer.put(Attempt(delivery=delivery, revision=1, answer=answer, started_at=0, duration_seconds=0.1))
    counted = registry.get_sample_value("firstvalue_notifier_first_attempt_delay_seconds_count")
    assert counted == (0 if held_up else 1)
