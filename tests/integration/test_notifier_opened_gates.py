"""Gates that somebody opened, by another URL or by enabling: what was on the wire before says nothing about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from services.notifier.domain.gate import gate_changes
from services.notifier.domain.outcome import Result, Status
from services.notifier.secret_box import SecretBox
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.queue import CLAIM_MAX, Claimed, Outcome, Recorded
from tests.notifier_tables import Owed, outcome

Mend = Callable[[Owed], Awaitable[None]]


async def another_url(owed: Owed) -> None:
    """The endpoint has moved."""
    await _endpoints(owed).update(owed.endpoint_id, {"url": "https://new.example.com/"})


async def enabled_again(owed: Owed) -> None:
    """Somebody has mended what is behind the URL."""
    await _endpoints(owed).set_enabled(owed.endpoint_id, False)
    await _endpoints(owed).set_enabled(owed.endpoint_id, True)


def _endpoints(owed: Owed) -> EndpointStore:
    return EndpointStore(owed.engine, SecretBox(bytes(32)))


@pytest_asyncio.fixture(params=[another_url, enabled_again])
async def mend(request: pytest.FixtureRequest) -> Mend:
    """What opens a gate by hand."""
    mended: Mend = request.param
    return mended


async def record(owed: Owed, *outcomes: Outcome) -> Recorded:
    """As the worker does with a batch."""
    changes = gate_changes((each.delivery.endpoint_id, each.revision, each.result, each.decision) for each in outcomes)
    return await owed.queue.record(outcomes, changes)


def asked_to_wait(claim: Claimed) -> Outcome:
    """A 429 with a Retry-After of an hour."""
    answer = outcome(claim, Status.PENDING, result=Result.HTTP_429, delay_seconds=3600)
    return replace(answer, decision=replace(answer.decision, gate_seconds=3600.0, counts=False))


async def test_what_failed_before_does_not_close_the_gate(owed: Owed, mend: Mend) -> None:
    """Neither by Retry-After nor by failures in a row; the deliveries are tried again at once, as all that waited."""
    await owed.add(6, "pending", failures=0)
    claims = await owed.queue.claim({})
    await mend(owed)
    recorded = await record(owed, *(outcome(claim, Status.PENDING) for claim in claims[:5]), asked_to_wait(claims[5]))
    assert (recorded.gates.closed, recorded.gates.tripped, recorded.late) == (set(), set(), set())
    gate = await owed.gate()
    assert (gate["closed"], gate["failures"], gate["failing_since"]) == (False, 0, None)
    again = await owed.queue.claim({})
    assert {claim.id for claim in again} == {claim.id for claim in claims}
    assert {claim.failures for claim in again} == {0, 1}, "what was attempted counts for the delivery"


async def test_what_succeeded_before_does_not_open_the_gate(owed: Owed, mend: Mend) -> None:
    """The breaker of what is there now stays open, and what failed there goes on counting."""
    await owed.add(6, "pending", failures=0)
    (old,) = await owed.queue.claim({owed.endpoint_id: CLAIM_MAX - 1})
    await mend(owed)
    await record(owed, *(outcome(claim, Status.PENDING) for claim in await owed.queue.claim({})))
    assert (await owed.gate())["trips"] == 1
    assert not (await record(owed, outcome(old, Status.SUCCEEDED))).gates.recovered
    gate = await owed.gate()
    assert (gate["trips"], gate["closed"], gate["failures"]) == (1, True, 5)
    assert "succeeded" in await owed.statuses()


async def test_what_is_attempted_since_counts_beside_what_was_before(owed: Owed, mend: Mend) -> None:
    """In one batch each outcome is judged by the revision that it was made on."""
    await owed.add(2, "pending", failures=0)
    (old,) = await owed.queue.claim({owed.endpoint_id: CLAIM_MAX - 1})
    await mend(owed)
    (new,) = await owed.queue.claim({})
    recorded = await record(owed, asked_to_wait(new), outcome(old, Status.PENDING))
    assert recorded.gates.closed == {owed.endpoint_id}
    assert (await owed.gate())["failures"] == 1
