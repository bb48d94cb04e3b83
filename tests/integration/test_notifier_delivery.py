"""From a record on the signals topic to a verified webhook and its log, on real Kafka and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from schemas.signals import encode
from tests.builders_signals import SignalPublisher, a_signal
from tests.fakes.receiver import Received, Receiver, answer, reset, silent, verify
from tests.running_notifier import NotifierClient, Servers, query, running
from tests.waiting import until


@pytest_asyncio.fixture(autouse=True)
async def no_endpoints(surroundings: Servers) -> None:
    """What an earlier test registered receives nothing."""
    await query(surroundings, "UPDATE notifier.endpoint SET enabled = false, deleted_at = now()")


@pytest.fixture
def publisher(surroundings: Servers) -> SignalPublisher:
    """The engine's relay."""
    return SignalPublisher(surroundings.kafka_bootstrap, surroundings.topic)


async def logged(client: NotifierClient, delivery_id: str, attempts: int) -> Any:
    """The delivery once so many attempts are recorded."""

    async def complete() -> Any:
        found = await client.ask("GET", f"/v1/deliveries/{delivery_id}")
        return found if found["attempts"] >= attempts and found["status"] != "leased" else None

    return await until(complete)


async def pinged(client: NotifierClient, endpoint: Any) -> str:
    """A delivery without Kafka's part in it; its id."""
    sent = await client.ask("POST", f"/v1/endpoints/{endpoint['id']}/ping", status=202)
    return str(sent["delivery_id"])


async def _is_recent(client: NotifierClient, gauge: str) -> bool:
    return abs(time.time() - await client.metric(gauge)) < 60


async def test_signal_reaches_endpoint_signed_once(surroundings: Servers, publisher: SignalPublisher) -> None:
    """A record's bytes arrive unchanged, verify with the published package, are logged, and a repeat is dropped."""
    async with Receiver() as receiver, running(surroundings) as notifier, publisher:
        endpoint = await notifier.add_endpoint(receiver.url("/hook?team=cs"))
        signal = a_signal()
        began = time.monotonic()
        await publisher.publish([signal, signal])
        (request,) = await receiver.wait_for(1)
        seconds = [time.monotonic() - began]
        verify(request, endpoint["secret"])
        assert (request.body, request.path) == (encode(signal), "/hook?team=cs")
        assert request.headers["webhook-id"] == signal.id
        assert request.headers["webhook-attempt"] == "1"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["traceparent"].startswith("00-")
        (row,) = await until(lambda: notifier.deliveries(status="succeeded", endpoint_id=endpoint["id"]))
        found = await notifier.ask("GET", f"/v1/deliveries/{row['id']}")
        assert (found["signal_id"], found["attempts"], found["next_at"]) == (signal.id, 1, None)
        entries = [(entry["result"], entry["status_code"], entry["response"]) for entry in found["log"]]
        assert entries == [("http_2xx", 200, "ok")]
        read_at = "firstvalue_notifier_intake_last_progress_timestamp_seconds"
        await until(partial(_is_recent, notifier, read_at), what="the time at which signals were read")
        more = [a_signal() for _ in range(3)]
        for number, each in enumerate(more, 2):
            began = time.monotonic()
            await publisher.publish([each])
            await receiver.wait_for(number)
            seconds.append(time.monotonic() - began)
        assert [each.headers["webhook-id"] for each in receiver.received] == [each.id for each in (signal, *more)]
        # One of several, because a busy machine may hold up any single one.
        assert min(seconds) < 2


async def test_filters_choose_types_and_origins(surroundings: Servers, publisher: SignalPublisher) -> None:
    """Each endpoint gets its types and origins; imports of old customers reach only those that ask."""
    async with Receiver() as receiver, running(surroundings) as notifier, publisher:
        await notifier.add_endpoint(receiver.url("/stalled"), types=["account.stalled"])
        await notifier.add_endpoint(receiver.url("/all"), origins=["live", "catch_up"])
        stalled = a_signal(type="account.stalled")
        old = a_signal(type="account.stalled", origin="catch_up")
        activated = a_signal(type="account.activated")
        await publisher.publish([stalled, old, activated])
        await receiver.wait_for(4)
        got = {(each.path, each.headers["webhook-id"]) for each in receiver.received}
        assert got == {("/stalled", stalled.id), ("/all", stalled.id), ("/all", old.id), ("/all", activated.id)}


async def test_failures_are_retried_with_same_bytes(surroundings: Servers) -> None:
    """500 and a reset, then 200: three attempts under one id, one body, fresh signatures, rising numbers."""
    # Closed after the first answer: a reset of a kept connection would be no attempt of its own.
    script = [answer(500, b"out of order", close=True), reset]
    schedule = "0.1,0.1,0.1"
    async with Receiver(script=script) as receiver, running(surroundings, retry_schedule_seconds=schedule) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url())
        delivery = await logged(notifier, await pinged(notifier, endpoint), 3)
        assert delivery["status"] == "succeeded"
        assert [each["result"] for each in delivery["log"]] == ["http_5xx", "reset", "http_2xx"]
        assert [each["trigger"] for each in delivery["log"]] == ["first", "retry", "retry"]
        assert delivery["log"][0]["response"] == "out of order"
        requests = await receiver.wait_for(3)
        assert {(each.headers["webhook-id"], each.body) for each in requests} == {
            (delivery["signal_id"], requests[0].body)
        }
        assert [each.headers["webhook-attempt"] for each in requests] == ["1", "2", "3"]
        for each in requests:
            verify(each, endpoint["secret"])


async def test_exhausted_can_be_retried_by_hand(surroundings: Servers) -> None:
    """When the schedule is used up the delivery is exhausted, and a person can still send it."""
    async with (
        Receiver(script=[answer(404), answer(500)]) as receiver,
        running(surroundings, retry_schedule_seconds="0.1") as notifier,
    ):
        endpoint = await notifier.add_endpoint(receiver.url())
        delivery_id = await pinged(notifier, endpoint)
        assert (await logged(notifier, delivery_id, 2))["status"] == "exhausted"
        await notifier.ask("POST", f"/v1/deliveries/{delivery_id}/retry", status=202)
        delivery = await logged(notifier, delivery_id, 3)
        assert (delivery["status"], delivery["log"][-1]["trigger"]) == ("succeeded", "manual")


async def test_retry_by_hand_replaces_the_automatic_one(surroundings: Servers) -> None:
    """A delivery that waits five minutes for its second attempt gets it now, and only once."""
    async with (
        Receiver(script=[answer(500)]) as receiver,
        running(surroundings, retry_schedule_seconds="300") as notifier,
    ):
        endpoint = await notifier.add_endpoint(receiver.url())
        delivery_id = await pinged(notifier, endpoint)
        assert (await logged(notifier, delivery_id, 1))["status"] == "pending"
        await notifier.ask("POST", f"/v1/deliveries/{delivery_id}/retry", status=202)
        assert (await logged(notifier, delivery_id, 2))["status"] == "succeeded"
        assert len(receiver.received) == 2


async def test_idle_connection_closed_by_peer_costs_no_attempt(surroundings: Servers) -> None:
    """A kept connection that the peer drops as it is used again: once more on a fresh one, within the same attempt."""
    async with Receiver(script=[answer(200), reset]) as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url())
        await logged(notifier, await pinged(notifier, endpoint), 1)
        delivery = await logged(notifier, await pinged(notifier, endpoint), 1)
        assert [each["result"] for each in delivery["log"]] == ["http_2xx"]
        assert [each.connection for each in receiver.received] == [1, 1, 2]
        assert {each.headers["webhook-attempt"] for each in receiver.received} == {"1"}


async def test_nobody_listens(surroundings: Servers) -> None:
    """A refused connection is its own result."""
    async with Receiver() as receiver:
        url = receiver.url()
    async with running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(url)
        delivery = await logged(notifier, await pinged(notifier, endpoint), 1)
        assert [each["result"] for each in delivery["log"]] == ["connect"]


async def test_retry_after_closes_the_endpoint(surroundings: Servers) -> None:
    """After 429 nothing is sent to the endpoint until the time it asked for, and the failure is not charged."""
    asked_at: list[float] = []

    async def note(request: Received, writer: asyncio.StreamWriter) -> None:
        asked_at.append(time.monotonic())
        await (answer(200) if asked_at[1:] else answer(429, headers="retry-after: 2\r\n"))(request, writer)

    async with (
        Receiver(behaviour=note) as receiver,
        running(surroundings, retry_schedule_seconds="0.1", poll_seconds=0.1) as notifier,
    ):
        endpoint = await notifier.add_endpoint(receiver.url())
        first = await pinged(notifier, endpoint)
        await logged(notifier, first, 1)
        second = await pinged(notifier, endpoint)
        await logged(notifier, second, 1)
        assert asked_at[1] - asked_at[0] > 1.9
        assert (await logged(notifier, first, 2))["status"] == "succeeded"
        (row,) = await query(surroundings, "SELECT failures FROM notifier.delivery WHERE id = $1", int(first[4:]))
        assert row["failures"] == 0


async def test_gone_disables_and_holds(surroundings: Servers, publisher: SignalPublisher) -> None:
    """410 disables at once; later signals are held, and are sent when enabling says so."""
    async with Receiver(script=[answer(410)]) as receiver, running(surroundings) as notifier, publisher:
        endpoint = await notifier.add_endpoint(receiver.url())
        await logged(notifier, await pinged(notifier, endpoint), 1)
        found = await notifier.ask("GET", f"/v1/endpoints/{endpoint['id']}")
        assert (found["enabled"], found["status"], found["disabled_reason"]) == (False, "disabled", "gone")
        signal = a_signal()
        await publisher.publish([signal])
        await until(lambda: notifier.deliveries(status="held", endpoint_id=endpoint["id"]))
        enable = f"/v1/endpoints/{endpoint['id']}/enable"
        assert (await notifier.ask("POST", enable))["held"] == 1
        await notifier.ask("POST", enable, json={"send_held": True})
        await until(lambda: notifier.deliveries(status="succeeded", signal_id=signal.id))


async def test_no_transaction_is_open_while_an_endpoint_is_waited_for(surroundings: Servers) -> None:
    """Short ones begin and end meanwhile; sooner or later there is none, with the request still on the wire."""
    statement = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%'"
    answered = asyncio.Event()

    async def later(request: Any, writer: asyncio.StreamWriter) -> None:
        await answered.wait()
        await answer(200)(request, writer)

    async with Receiver(behaviour=later) as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url(), timeout_seconds=30)
        await pinged(notifier, endpoint)
        await receiver.wait_for(1)

        async def none_open() -> bool:
            return not await query(surroundings, statement)

        await until(none_open)
        assert [each["status"] for each in await notifier.deliveries(endpoint_id=endpoint["id"])] == ["leased"]
        answered.set()


async def test_backlog_beyond_its_cap_is_held_not_dropped(surroundings: Servers, publisher: SignalPublisher) -> None:
    """Past the cap deliveries are held, told of, and released as the backlog shrinks: all arrive."""
    async with Receiver(behaviour=silent) as receiver, running(surroundings, backlog_max=4) as notifier, publisher:
        endpoint = await notifier.add_endpoint(receiver.url(), timeout_seconds=1, concurrency_max=1)
        watch = await notifier.add_endpoint("http://127.0.0.1:9/watch", types=["endpoint.failing"])
        await publisher.publish([a_signal() for _ in range(10)])
        await receiver.wait_for(1)
        await until(lambda: _count(notifier, endpoint, 6, "held"))
        held = await notifier.deliveries(status="held", endpoint_id=endpoint["id"])
        assert {each["hold_reason"] for each in held} == {"backlog"}
        assert await notifier.metric('firstvalue_notifier_held_deliveries_total{reason="backlog"}') == 6
        bodies = """SELECT m.body FROM notifier.delivery d JOIN notifier.message m ON m.id = d.message_id
            WHERE d.endpoint_id = $1"""
        (told,) = [json.loads(row["body"]) for row in await query(surroundings, bodies, watch["id"])]
        assert (told["reason"], told["endpoint"]["id"]) == ("backlog_full", endpoint["id"])
        assert told["summary"].startswith("4 deliveries wait for endpoint")
        receiver.behaviour = answer(200)
        await until(lambda: _count(notifier, endpoint, 0, "held"), timeout_seconds=30)


async def _count(client: NotifierClient, endpoint: Any, count: int, status: str) -> bool:
    return len(await client.deliveries(status=status, endpoint_id=endpoint["id"])) == count


async def test_endpoint_cap_holds_under_load(surroundings: Servers, publisher: SignalPublisher) -> None:
    """Never more requests at once than the endpoint's cap."""

    async def slow(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        await answer(200)(request, writer)

    async with Receiver(behaviour=slow) as receiver, running(surroundings) as notifier, publisher:
        await notifier.add_endpoint(receiver.url(), concurrency_max=3)
        await publisher.publish([a_signal() for _ in range(60)])
        await receiver.wait_for(60)
        assert receiver.peak_at_once == 3


async def test_gap_alarms_and_clears_and_poison_moves_on(surroundings: Servers, publisher: SignalPublisher) -> None:
    """A skipped number raises the alarm until it arrives; what cannot be read is kept aside; all else is delivered."""
    gap, poison = "firstvalue_notifier_sequence_missing", 'firstvalue_dead_letters_total{reason="undecodable"}'
    async with Receiver() as receiver, running(surroundings) as notifier, publisher:
        await notifier.add_endpoint(receiver.url())
        await publisher.publish_raw(encode(a_signal()), seq=1_000_001, partition=1)
        await publisher.publish_raw(b"{broken", seq=1_000_002, partition=1)
        await publisher.publish_raw(encode(a_signal()), seq=1_000_004, partition=1)
        await receiver.wait_for(2)
        before = await notifier.metric(gap)
        assert before >= 1
        await publisher.publish_raw(encode(a_signal()), seq=1_000_003, partition=1)
        await receiver.wait_for(3)
        assert await notifier.metric(gap) == before - 1
        assert await notifier.metric(poison) == 1
        rows = await query(surroundings, "SELECT reason, value FROM notifier.dead_letter")
        assert [(row["reason"], bytes(row["value"])) for row in rows] == [("undecodable", b"{broken")]


async def test_drain_finishes_what_is_on_the_wire(surroundings: Servers) -> None:
    """A stop waits for the answer, records it, and leaves no lease behind."""

    async def slow(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        await answer(200)(request, writer)

    async with Receiver(behaviour=slow) as receiver:
        async with running(surroundings) as notifier:
            endpoint = await notifier.add_endpoint(receiver.url())
            await pinged(notifier, endpoint)
            await receiver.wait_for(1)
        rows = await query(surroundings, "SELECT status FROM notifier.delivery WHERE endpoint_id = $1", endpoint["id"])
        assert [row["status"] for row in rows] == ["succeeded"]
