"""Which deliveries waited because their endpoint could not be sent to: their first attempts are not late by us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import Status
from services.notifier.secret_box import SecretBox
from services.notifier.store.endpoints import EndpointStore
from tests.notifier_tables import Owed, outcome
from tests.running_notifier import query


async def nothing(owed: Owed) -> None:
    """Only we were slow."""


async def broken(owed: Owed) -> None:
    """Its breaker was open until a probe succeeded."""
    await owed.queue.record([], GateChanges(failures={owed.endpoint_id: 5}))
    await query(owed.servers, "UPDATE notifier.endpoint_gate SET not_before = now() - interval '3 days'")
    (probe,) = await owed.queue.claim({})
    await owed.queue.record([outcome(probe, Status.SUCCEEDED)], GateChanges(succeeded={owed.endpoint_id}))


async def paused(owed: Owed) -> None:
    """It asked for patience, until yesterday."""
    await query(owed.servers, "UPDATE notifier.endpoint_gate SET not_before = now() - interval '1 day'")


async def moved(owed: Owed) -> None:
    """It was given another URL, which opens its gate."""
    await EndpointStore(owed.engine, SecretBox(bytes(32))).update(owed.endpoint_id, {"url": "https://new.example.com/"})


async def disabled(owed: Owed) -> None:
    """It was disabled for a while."""
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    for enabled in (False, True):
        await endpoints.set_enabled(owed.endpoint_id, enabled)
    await query(owed.servers, "UPDATE notifier.endpoint_gate SET not_before = '-infinity'")


async def outside_its_window(owed: Owed) -> None:
    """It opened an hour ago, and the delivery was owed two hours ago."""
    from_, until = ((datetime.now(UTC) + timedelta(hours=hours)).strftime("%H:%M") for hours in (-1, 1))
    window = {"time_zone": "UTC", "from": from_, "until": until, "days": DAYS}
    await EndpointStore(owed.engine, SecretBox(bytes(32))).update(owed.endpoint_id, {"delivery_window": window})
    await query(owed.servers, "UPDATE notifier.delivery SET created_at = now() - interval '2 hours'")


async def at_a_rate(owed: Owed) -> None:
    """Its owner wants one in ten seconds: a burst waits for as long as that takes."""
    await EndpointStore(owed.engine, SecretBox(bytes(32))).update(owed.endpoint_id, {"rate_per_second": 0.1})


DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@pytest.mark.parametrize("cause", [nothing, broken, paused, moved, disabled, outside_its_window, at_a_rate])
async def test_what_its_endpoint_held_up_is_known(owed: Owed, cause: Callable[[Owed], Awaitable[None]]) -> None:
    """Of a delivery that nobody has tried yet."""
    await owed.add(2, "pending", failures=0)
    await cause(owed)
    claims = await owed.queue.claim({})
    assert {claim.held_up for claim in claims} == {cause is not nothing}
    assert {claim.trigger for claim in claims} == {"first"}
