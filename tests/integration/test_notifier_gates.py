"""Gates in the database: the breaker and its probe, recovery, notices of failing endpoints, the end of others."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest_asyncio
import sqlalchemy as sa

from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import Exhaustion, Result, Status
from services.notifier.domain.schedule import DEADLINE_SECONDS
from services.notifier.secret_box import SecretBox
from services.notifier.store.deliveries import DeliveryStore
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.queue import CLAIM_MAX, QUEUED_BYTES_MAX, QUEUED_MAX
from services.notifier.store.upkeep import UpkeepStore
from tests.notifier_tables import Owed, outcome
from tests.running_notifier import query
from tests.waiting import until


@pytest_asyncio.fixture
async def owed(owed: Owed) -> Owed:
    """With a subscriber to all notices."""
    await owed.add_endpoint("ep_watch", types=["endpoint.*", "delivery.exhausted"])
    return owed


async def notices(owed: Owed) -> list[Any]:
    """Bodies owed to the subscriber, oldest first."""
    rows = await query(
        owed.servers,
        """SELECT m.body FROM notifier.delivery d JOIN notifier.message m ON m.id = d.message_id
        WHERE d.endpoint_id = 'ep_watch' ORDER BY d.id""",
    )
    return [json.loads(row["body"]) for row in rows]


async def failing_for(owed: Owed, since: str, *, last_failed: str = "1 minute") -> None:
    """Every attempt failed for so long."""
    await query(
        owed.servers,
        f"""UPDATE notifier.endpoint_gate SET failing_since = now() - interval '{since}', failures = 3,
        last_failed_at = now() - interval '{last_failed}' WHERE endpoint_id = $1""",
        owed.endpoint_id,
    )


async def fail(owed: Owed, count: int, **more: Any) -> Any:
    """Record so many failures in a row."""
    return await owed.queue.record([], GateChanges(failures={owed.endpoint_id: count}, **more))


async def pause_passes(owed: Owed) -> None:
    """The breaker's pause is over."""
    await query(owed.servers, "UPDATE notifier.endpoint_gate SET not_before = now() WHERE trips > 0")


async def test_breaker_opens_after_five_failures_and_lets_one_probe_through(owed: Owed) -> None:
    """The fifth failure closes the gate; then one delivery goes, to one process; its failure doubles the pause."""
    await owed.add(10, "pending", failures=0)
    assert not (await fail(owed, 4)).gates.closed
    events = (await fail(owed, 1)).gates
    assert events.closed == events.tripped == {owed.endpoint_id}
    assert await owed.queue.claim({}) == []
    assert not (await fail(owed, 7)).gates.tripped
    assert (await owed.gate())["trips"] == 1, "what was on the wire before makes the pause no longer"
    await pause_passes(owed)
    (probe,) = await owed.queue.claim({})
    assert probe.probe
    assert await owed.queue.claim({}) == []
    failed = GateChanges(failures={owed.endpoint_id: 1})
    await owed.queue.record([outcome(probe, Status.PENDING)], failed)
    gate = await owed.gate()
    assert (gate["trips"], gate["closed"], gate["probe_until"]) == (2, True, None)
    (row,) = await query(
        owed.servers,
        "SELECT not_before - now() > interval '50 s' AND not_before - now() <= interval '60 s' AS doubled FROM "
        "notifier.endpoint_gate WHERE endpoint_id = $1",
        owed.endpoint_id,
    )
    assert row["doubled"]


async def test_every_replica_leaves_an_endpoint_alone_whose_gate_one_has_closed(owed: Owed) -> None:
    """What the others had claimed for it goes back unsent, as for one that was disabled."""
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    both = (owed.endpoint_id, "ep_watch")
    assert set(await endpoints.revisions(both)) == set(both)
    await fail(owed, 5)
    assert set(await endpoints.revisions(both)) == {"ep_watch"}
    await pause_passes(owed)
    assert set(await endpoints.revisions(both)) == set(both)


async def test_pauses_double_up_to_a_quarter_of_an_hour(owed: Owed) -> None:
    """However long an endpoint has failed, it is tried again within that."""
    left = "SELECT extract(epoch FROM not_before - now())::float8 FROM notifier.endpoint_gate WHERE trips > 0"
    await fail(owed, 5)
    for seconds in (30, 60, 120, 240, 480, 900, 900):
        ((pause,),) = await query(owed.servers, left)
        assert seconds - 5 < pause <= seconds
        await pause_passes(owed)
        await fail(owed, 1)


async def test_a_probe_is_never_left_out(owed: Owed) -> None:
    """Not even when a process has room for one more delivery: its gate would wait for it for a whole lease."""
    others = [f"ep_{number}" for number in range(9)]
    for endpoint_id in others:
        await owed.add_endpoint(endpoint_id)
    await owed.add(10, "pending", failures=0)
    move = "UPDATE notifier.delivery SET endpoint_id = $1 WHERE id = $2"
    for endpoint_id, row in zip(others, await owed.rows(), strict=False):
        await query(owed.servers, move, endpoint_id, row["id"])
    await fail(owed, 5)
    await pause_passes(owed)
    (probe,) = await owed.queue.claim({"elsewhere": QUEUED_MAX - 1}, queued_bytes=QUEUED_BYTES_MAX - 1)
    assert probe.endpoint_id == owed.endpoint_id


async def test_a_probe_that_was_given_back_is_not_waited_for(owed: Owed) -> None:
    """The next one goes at once; what was claimed before the breaker opened and comes back lets no second one out."""
    await owed.add(3, "pending", failures=0)
    one_place = {owed.endpoint_id: CLAIM_MAX - 1}
    (before,) = await owed.queue.claim(one_place)
    assert not before.probe
    await fail(owed, 5)
    await pause_passes(owed)
    (probe,) = await owed.queue.claim({})
    await owed.queue.release([before])
    assert await owed.queue.claim({}) == []
    await owed.queue.release([probe])
    assert len(await owed.queue.claim({})) == 1


async def test_half_of_the_newest_attempts_failing_opens_the_breaker(owed: Owed) -> None:
    """A process that sees half of a window fail says so, although successes are in between."""
    assert (await fail(owed, 1, tripping={owed.endpoint_id})).gates.closed == {owed.endpoint_id}


async def add_retries(owed: Owed, count: int) -> None:
    """Deliveries that failed a minute ago and wait for most of an hour, the newest for the shortest time."""
    await owed.add(count, "pending", failures=1)
    await query(
        owed.servers,
        """UPDATE notifier.delivery SET priority = 1, last_attempt_at = now() - interval '1 minute',
        next_at = now() + interval '1 hour' - id * interval '1 minute' WHERE endpoint_id = $1""",
        owed.endpoint_id,
    )


async def test_a_retry_by_hand_locks_in_the_order_of_recording(owed: Owed) -> None:
    """The gate first: while it waits for that, it keeps nobody from the delivery."""
    await add_retries(owed, 1)
    await fail(owed, 5)
    (row,) = await owed.rows()
    blocked = """SELECT FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND query ~ 'endpoint_gate' AND datname = current_database()"""
    async with owed.engine.begin() as recording:
        await recording.execute(sa.text("SELECT FROM notifier.endpoint_gate FOR UPDATE"))
        retrying = asyncio.create_task(DeliveryStore(owed.engine).retry(row["id"]))
        await until(lambda: query(owed.servers, blocked))
        await recording.execute(sa.text("SELECT FROM notifier.delivery FOR UPDATE NOWAIT"))
    assert await retrying
    assert not (await owed.gate())["closed"]


async def test_enabling_pulls_retries_forward(owed: Owed) -> None:
    """Whoever enables an endpoint need not wait for the pauses that its failures had earned."""
    await add_retries(owed, 3)
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    await endpoints.set_enabled(owed.endpoint_id, False)
    assert await owed.gates.pull_forward() == 0
    await endpoints.set_enabled(owed.endpoint_id, True)
    assert await owed.gates.pull_forward() == 3
    claims = await owed.queue.claim({})
    assert [claim.trigger for claim in claims if claim.endpoint_id == owed.endpoint_id] == ["retry"] * 3


async def test_another_url_is_tried_at_once(owed: Owed) -> None:
    """What the old one asked for and its failures are its own; any other change leaves the gate as it is."""
    await add_retries(owed, 2)
    asked = GateChanges(closed_seconds={owed.endpoint_id: 86_400.0}, failures={owed.endpoint_id: 5})
    await owed.queue.record([], asked)
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    for terms, closed in (({"url": "https://hooks.example.com/"}, True), ({"url": "https://new.example.com/"}, False)):
        await endpoints.update(owed.endpoint_id, {"description": "moved", **terms})
        gate = await owed.gate()
        assert (gate["closed"], gate["trips"], gate["failing_since"] is not None) == (closed, int(closed), closed)
    assert await owed.gates.pull_forward() == 2


async def test_recovery_pulls_retries_forward_oldest_first(owed: Owed) -> None:
    """A success opens the gate; what had failed before is due now by age, what fails after keeps its schedule."""
    await add_retries(owed, 5)
    await fail(owed, 5)
    recorded = await owed.queue.record([], GateChanges(succeeded={owed.endpoint_id}))
    assert recorded.gates.recovered == {owed.endpoint_id}
    ids = [row["id"] for row in await owed.rows()]
    later = "UPDATE notifier.delivery SET last_attempt_at = now() + interval '1 minute' WHERE id = $1"
    await query(owed.servers, later, ids[-1])
    assert await owed.gates.pull_forward() == 4
    assert await owed.gates.pull_forward() == 0
    gate = await owed.gate()
    assert (gate["trips"], gate["closed"], gate["failures"], gate["pull_before"]) == (0, False, 0, None)
    due = await query(owed.servers, "SELECT id FROM notifier.delivery WHERE next_at <= now() ORDER BY next_at")
    assert [row["id"] for row in due] == ids[:-1]


async def test_failing_endpoints_are_told_of_three_times_and_their_recovery_once(owed: Owed) -> None:
    """At 1, 24 and 72 hours, each once; an endpoint that was said to fail is said to be well again."""
    for since, told in (("50 minutes", 0), ("61 minutes", 1), ("25 hours", 1), ("73 hours", 1)):
        await failing_for(owed, since)
        assert len(await owed.gates.announce_failing()) == told
        assert await owed.gates.announce_failing() == []
    await owed.queue.record([], GateChanges(succeeded={owed.endpoint_id}))
    await owed.queue.record([], GateChanges(succeeded={owed.endpoint_id}))
    found = await notices(owed)
    assert [each["type"] for each in found] == ["endpoint.failing"] * 3 + ["endpoint.recovered"]
    assert [each["summary"].rsplit(" for ")[-1] for each in found[:3]] == ["1 hour.", "24 hours.", "72 hours."]
    assert {each["endpoint"]["id"] for each in found} == {owed.endpoint_id}


async def test_hopeless_endpoint_is_disabled_after_five_days(owed: Owed) -> None:
    """Five days, failures twelve hours apart, three messages: with all of that and not before."""
    await owed.add(3, "pending", failures=1)
    attempted = "UPDATE notifier.delivery SET last_attempt_at = now() - interval '1 hour' WHERE id = $1"
    for row in (await owed.rows())[:2]:
        await query(owed.servers, attempted, row["id"])
    await failing_for(owed, "5 days 1 hour")
    assert await owed.gates.disable_hopeless() == set(), "two messages only"
    await query(owed.servers, attempted, (await owed.rows())[2]["id"])
    await failing_for(owed, "4 days 23 hours")
    assert await owed.gates.disable_hopeless() == set(), "less than five days"
    await failing_for(owed, "5 days 1 hour", last_failed="4 days 20 hours")
    assert await owed.gates.disable_hopeless() == set(), "failures less than twelve hours apart"
    await failing_for(owed, "5 days 1 hour")
    assert await owed.gates.disable_hopeless() == {owed.endpoint_id}
    assert await owed.gates.disable_hopeless() == set()
    (notice,) = await notices(owed)
    assert (notice["type"], notice["reason"]) == ("endpoint.disabled", "failing")


async def test_what_is_given_up_is_told_unless_it_was_a_notice(owed: Owed) -> None:
    """`delivery.exhausted` names signal, delivery and reason; an exhausted notice makes no further one."""
    await owed.add(1, "pending", failures=9)
    await query(owed.servers, "UPDATE notifier.delivery SET next_at = now()")
    (claim,) = await owed.queue.claim({})
    gone = outcome(claim, Status.EXHAUSTED, result=Result.HTTP_4XX, exhaustion=Exhaustion.SCHEDULE)
    recorded = await owed.queue.record([gone], GateChanges())
    assert recorded.told == ("delivery.exhausted",)
    (notice,) = await notices(owed)
    assert notice["delivery"] == {
        "id": f"dlv_{claim.id}",
        "signal_id": claim.message_id,
        "type": "account.stalled",
        "attempts": 10,
    }
    assert (notice["reason"], notice["result"]) == ("schedule", "http_4xx")
    (own,) = await owed.queue.claim({})
    given_up = outcome(own, Status.EXHAUSTED, exhaustion=Exhaustion.DEADLINE)
    assert (await owed.queue.record([given_up], GateChanges())).told == ()
    assert len(await notices(owed)) == 1


async def test_disabling_is_told_once_per_disabling(owed: Owed) -> None:
    """By 410 and by hand; a second disabling of a disabled endpoint tells nothing."""
    await owed.queue.record([], GateChanges(disabled={owed.endpoint_id: 1}))
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    await endpoints.set_enabled(owed.endpoint_id, False)
    await endpoints.set_enabled(owed.endpoint_id, True)
    await endpoints.set_enabled(owed.endpoint_id, False)
    assert [(each["type"], each["reason"]) for each in await notices(owed)] == [
        ("endpoint.disabled", "gone"),
        ("endpoint.disabled", "manual"),
    ]


async def test_an_old_410_does_not_disable_what_was_mended(owed: Owed) -> None:
    """A request that was on its way to the old URL says nothing of the new one, nor of an endpoint enabled since."""
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    for revision in (1, 2):
        await endpoints.update(owed.endpoint_id, {"url": f"https://hooks.example.com/new-{revision}"})
        gone = await owed.queue.record([], GateChanges(disabled={owed.endpoint_id: revision}))
        assert gone.gates.closed == set()
    assert await notices(owed) == []
    gone = await owed.queue.record([], GateChanges(disabled={owed.endpoint_id: 3}))
    assert gone.gates.closed == {owed.endpoint_id}


async def test_what_waited_while_its_endpoint_was_disabled_is_not_given_up_at_its_first_failure(owed: Owed) -> None:
    """Its deadline counts from the enabling, and its failures go on. To enable what is enabled changes nothing."""
    await owed.add(2, "pending", failures=3)
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    await endpoints.set_enabled(owed.endpoint_id, True)
    (old,) = await owed.queue.claim({owed.endpoint_id: CLAIM_MAX - 1})
    await endpoints.set_enabled(owed.endpoint_id, False)
    await endpoints.set_enabled(owed.endpoint_id, True)
    (new,) = (each for each in await owed.queue.claim({}) if each.endpoint_id == owed.endpoint_id)
    assert (old.failures, new.failures) == (3, 3)
    assert old.age_seconds > DEADLINE_SECONDS > DEADLINE_SECONDS / 2 > new.age_seconds


async def test_what_was_held_for_days_is_not_given_up_at_its_first_failure(owed: Owed) -> None:
    """Its schedule begins when it may be sent, not when it was owed, nor when somebody asked and too much waited."""
    await owed.add(1, "pending", failures=0)
    await query(owed.servers, "UPDATE notifier.delivery SET status = 'held', hold_reason = 'disabled', next_at = NULL")
    await EndpointStore(owed.engine, SecretBox(bytes(32))).set_enabled(owed.endpoint_id, True, send_held=True)
    await query(owed.servers, "UPDATE notifier.delivery SET restarted_at = now() - interval '5 days'")
    assert await UpkeepStore(owed.engine).release_held(owed.endpoint_id, most=10) == 1
    (claim,) = await owed.queue.claim({})
    assert (claim.failures, claim.trigger) == (0, "first")
    assert claim.age_seconds < DEADLINE_SECONDS / 2
