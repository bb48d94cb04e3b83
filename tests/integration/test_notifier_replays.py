"""Replays: what an endpoint was owed is sent again under the same ids, behind everything else, until cancelled."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from schemas.signals import encode
from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import Priority, Status
from services.notifier.secret_box import SecretBox
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.intake import IntakeStore, Message
from services.notifier.store.queue import CLAIM_MAX
from services.notifier.store.upkeep import UpkeepStore
from tests.builders_signals import SignalPublisher, a_signal
from tests.fakes.receiver import Receiver, answer, silent, verify
from tests.notifier_tables import Owed, outcome
from tests.running_notifier import ADMIN_KEY, NotifierClient, Servers, query, running
from tests.waiting import until

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest_asyncio.fixture
async def notifier(surroundings: Servers) -> AsyncIterator[NotifierClient]:
    """A notifier whose schedule gives up after the second failure, and soon."""
    async with running(surroundings, retry_schedule_seconds="0.05", poll_seconds=0.1, breaker_seconds=0.01) as client:
        yield client


async def test_what_was_given_up_is_sent_again(surroundings: Servers, notifier: NotifierClient) -> None:
    """After an outage a replay sends the exhausted deliveries, same ids and bytes, and counts its progress."""
    signals = {each.id: each for each in (a_signal() for _ in range(3))}
    async with (
        Receiver(behaviour=answer(404)) as receiver,
        SignalPublisher(surroundings.kafka_bootstrap, surroundings.topic) as publisher,
    ):
        endpoint = await notifier.add_endpoint(receiver.url())
        path = f"/v1/endpoints/{endpoint['id']}"
        await publisher.publish(list(signals.values()))

        async def all_given_up() -> bool:
            return len(await notifier.deliveries(status="exhausted", endpoint_id=endpoint["id"])) == len(signals)

        await until(all_given_up)
        counted = await notifier.ask("POST", f"{path}/replay", json={"since": LONG_AGO, "dry_run": True})
        assert counted == {"dry_run": True, "total": len(signals)}
        other = {"since": LONG_AGO, "dry_run": True, "types": ["account.activated"]}
        assert (await notifier.ask("POST", f"{path}/replay", json=other))["total"] == 0
        receiver.behaviour = answer(200)
        receiver.received.clear()
        begun = await notifier.ask("POST", f"{path}/replay", status=202, json={"since": LONG_AGO})
        assert (begun["status"], begun["total"]) == ("running", len(signals))

        async def completed() -> Any:
            found = await notifier.ask("GET", f"/v1/replays/{begun['id']}")
            return found if found["status"] == "completed" else None

        ended = await until(completed)
        assert (ended["queued"], ended["succeeded"], ended["waiting"]) == (len(signals), len(signals), 0)
        for request in receiver.received:
            verify(request, endpoint["secret"])
            assert request.body == encode(signals[request.headers["webhook-id"]])
        assert {each.headers["webhook-id"] for each in receiver.received} == set(signals)
        (newest, *_) = await notifier.deliveries(endpoint_id=endpoint["id"])
        shown = await notifier.ask("GET", f"/v1/deliveries/{newest['id']}")
        assert shown["log"][-1]["trigger"] == "replay"
        for became in ("open", "half_open", "closed"):
            line = f'firstvalue_notifier_breaker_transitions_total{{to="{became}"}}'
            assert await notifier.metric(line) >= 1
        assert shown["log"][-1]["phases"].keys() == {"resolve_ms", "connect_ms", "wait_ms"}
        assert (await notifier.ask("DELETE", f"/v1/replays/{begun['id']}", status=409))["code"] == "replay_ended"
        await notifier.ask("DELETE", path, status=204)


async def test_replays_are_refused_with_codes(notifier: NotifierClient) -> None:
    """A wrong window, an unknown type, an endpoint or replay that is not there, a disabled endpoint."""
    endpoint = await notifier.add_endpoint("http://127.0.0.1:9/hook", enabled=False)
    path = f"/v1/endpoints/{endpoint['id']}/replay"
    mistakes: list[tuple[str, str, dict[str, Any] | None, int, str]] = [
        ("POST", path, {"since": LONG_AGO, "until": LONG_AGO}, 422, "window_invalid"),
        ("POST", path, {"since": LONG_AGO, "types": ["account.staled"]}, 422, "type_unknown"),
        ("POST", path, {"since": "2020-01-01T00:00:00"}, 422, "invalid_request"),
        ("POST", path, {"since": LONG_AGO, "statuses": ["leased"]}, 422, "invalid_request"),
        ("POST", path, {"since": LONG_AGO}, 409, "endpoint_disabled"),
        ("POST", "/v1/endpoints/ep_none/replay", {"since": LONG_AGO}, 404, "endpoint_not_found"),
        ("GET", "/v1/replays/rpl_999999", None, 404, "replay_not_found"),
        ("DELETE", "/v1/replays/17", None, 404, "replay_not_found"),
    ]
    for method, where, body, status, code in mistakes:
        problem = await notifier.ask(method, where, status=status, json=body)
        assert problem["code"] == code, (method, where, body)
    await notifier.ask("DELETE", f"/v1/endpoints/{endpoint['id']}", status=204)


async def test_a_repeated_request_is_told_which_replay_runs(notifier: NotifierClient) -> None:
    """Whoever lost the first answer can follow and cancel it all the same."""
    async with Receiver(script=[answer(404)] * 2, behaviour=silent) as receiver:
        endpoint = await notifier.add_endpoint(receiver.url())
        path = f"/v1/endpoints/{endpoint['id']}"
        await notifier.ask("POST", f"{path}/ping", status=202)
        await until(lambda: notifier.deliveries(status="exhausted", endpoint_id=endpoint["id"]))
        begun = await notifier.ask("POST", f"{path}/replay", status=202, json={"since": LONG_AGO})
        refused = await notifier.ask("POST", f"{path}/replay", status=409, json={"since": LONG_AGO})
        assert (refused["code"], refused["replay_id"]) == ("replay_running", begun["id"])
        assert begun["id"] in refused["message"]
        assert (await notifier.ask("DELETE", f"/v1/replays/{begun['id']}"))["status"] == "cancelled"
        await notifier.ask("DELETE", path, status=204)


async def test_the_command_line_retries_and_replays(notifier: NotifierClient) -> None:
    """`delivery retry`, `endpoint replay` with and without --dry-run, and what `endpoint cancel-replay` refuses."""

    async def firstvalue(*words: str, code: int = 0) -> str:
        options = ("--notifier-url", str(notifier.http.base_url), "--key", ADMIN_KEY)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli", *words, *options, stdout=PIPE, stderr=STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == code, output
        return output.decode()

    async with Receiver(script=[answer(404)] * 2) as receiver:
        endpoint = await notifier.add_endpoint(receiver.url())
        await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/ping", status=202)
        (given_up,) = await until(lambda: notifier.deliveries(status="exhausted", endpoint_id=endpoint["id"]))
        assert "is on its way" in await firstvalue("delivery", "retry", given_up["id"])
        await until(lambda: notifier.deliveries(status="succeeded", endpoint_id=endpoint["id"]))
        replay = ("endpoint", "replay", endpoint["id"], "--since", "2020-01-01", "--status", "succeeded")
        assert "1 delivery would be sent" in await firstvalue(*replay, "--dry-run")
        assert "1 delivery; stop it with" in await firstvalue(*replay)
        await receiver.wait_for(4)
        assert "replay_not_found" in await firstvalue("endpoint", "cancel-replay", "rpl_999999", code=1)
        await notifier.ask("DELETE", f"/v1/endpoints/{endpoint['id']}", status=204)


async def test_replayed_delivery_begins_its_schedule_anew_and_stays_last(owed: Owed) -> None:
    """Given up after ten failures five days ago, it has all its attempts again; no failure makes it more important."""
    await owed.add(1)
    await owed.replays.step(await owed.begin())
    (claim,) = await owed.queue.claim({})
    assert (claim.failures, claim.trigger, claim.age_seconds < 60) == (0, "replay", True)
    await owed.queue.record([outcome(claim, Status.PENDING)], GateChanges())
    (row,) = await owed.rows()
    assert (row["status"], row["failures"], row["priority"]) == ("pending", 1, Priority.REPLAY)


async def test_first_attempts_go_before_retries_before_replays(owed: Owed) -> None:
    """Whatever has waited longest, the more important is claimed first."""
    await owed.add(3, "pending", failures=0)
    first, retry, replay = (row["id"] for row in await owed.rows())
    for delivery_id, priority, waited in ((first, 0, "1 second"), (retry, 1, "1 hour"), (replay, 2, "1 day")):
        await query(
            owed.servers,
            f"UPDATE notifier.delivery SET priority = $2, next_at = now() - interval '{waited}' WHERE id = $1",
            delivery_id,
            priority,
        )
    one_place = {owed.endpoint_id: CLAIM_MAX - 1}
    claimed = [claim.id for _ in range(3) for claim in await owed.queue.claim(one_place)]
    assert claimed == [first, retry, replay]


async def test_a_replay_queues_no_more_than_its_window(owed: Owed) -> None:
    """What is due or on the wire of it is bounded; it goes on as room comes, and completes once nothing waits."""
    await owed.add(7)
    number = await owed.begin()
    assert [await owed.replays.step(number, window_max=4) for _ in range(2)] == [4, 0]
    await query(owed.servers, "UPDATE notifier.delivery SET status = 'succeeded' WHERE status = 'pending'")
    assert await owed.replays.step(number, window_max=4) == 3
    await query(owed.servers, "UPDATE notifier.delivery SET status = 'succeeded' WHERE status = 'pending'")
    await owed.replays.step(number, window_max=4)
    found = await owed.replays.get(number)
    assert found is not None
    assert (found.status, found.total, found.queued, found.by_status) == ("completed", 7, 7, {"succeeded": 7})


async def test_cancel_puts_back_what_was_not_sent(owed: Owed) -> None:
    """Exhausted and held are as they were; what was on the wire comes back once its attempt has failed."""
    await owed.add(3)
    await owed.add(2, "pending", failures=0)
    await query(
        owed.servers,
        "UPDATE notifier.delivery SET status = 'held', hold_reason = 'disabled' WHERE status = 'pending'",
    )
    number = await owed.begin()
    assert await owed.replays.step(number) == 5
    (on_the_wire,) = await owed.queue.claim({owed.endpoint_id: CLAIM_MAX - 1})
    assert await owed.replays.cancel(number)
    assert sorted(row["status"] for row in await owed.rows()) == ["exhausted", "exhausted", "held", "held", "leased"]
    await owed.queue.release([on_the_wire])
    assert await owed.replays.take_back() == 1
    assert sorted((row["status"], row["hold_reason"]) for row in await owed.rows()) == [
        *[("exhausted", None)] * 3,
        *[("held", "disabled")] * 2,
    ]
    assert not await owed.replays.cancel(number)


async def test_cancel_makes_no_attempt_earlier(owed: Owed) -> None:
    """What waited for its next attempt, and was not sent, waits until then."""
    await owed.add(2, "pending", failures=3)
    await query(owed.servers, "UPDATE notifier.delivery SET next_at = now() + interval '5 hours'")
    before = [row["next_at"] for row in await owed.rows()]
    number = await owed.begin()
    assert await owed.replays.step(number) == 2
    assert await owed.replays.cancel(number)
    assert [row["next_at"] for row in await owed.rows()] == before
    assert await owed.queue.claim({}) == []


async def test_cancel_wins_over_a_step_at_the_same_time(owed: Owed) -> None:
    """However the two meet, nothing of a cancelled replay waits to be sent."""
    await owed.add(40)
    for _ in range(25):
        number = await owed.begin()
        await asyncio.gather(owed.replays.step(number), owed.replays.step(number), owed.replays.cancel(number))
        await owed.replays.take_back()
        assert await owed.replays.step(number) == 0
        assert await owed.statuses() == {"exhausted"}


async def test_a_replay_ends_with_its_endpoint(owed: Owed) -> None:
    """What it had not taken up yet is not queued for an endpoint that nothing is sent to any more."""
    await owed.add(4)
    number = await owed.begin()
    assert await owed.replays.step(number, window_max=2) == 2
    assert await EndpointStore(owed.engine, SecretBox(bytes(32))).delete(owed.endpoint_id)
    assert await owed.replays.step(number, window_max=2) == 0
    assert await owed.replays.take_back() == 0
    found = await owed.replays.get(number)
    assert found is not None
    assert (found.status, await owed.statuses()) == ("cancelled", {"cancelled", "exhausted"})


async def test_what_a_replay_was_asked_for_goes_with_its_deliveries(owed: Owed) -> None:
    """A month after it ended; one that runs stays, however old it is. So do records that could not be read for long."""
    upkeep = UpkeepStore(owed.engine)
    await owed.add(1)
    long_ago, lately, running = [await _begun(owed, ends=ends) for ends in (True, True, False)]
    aged = "UPDATE notifier.replay SET created_at = now() - interval '99 days', {} WHERE id = ANY($1::bigint[])"
    await query(owed.servers, aged.format("finished_at = now() - interval '31 days'"), [long_ago])
    await query(owed.servers, aged.format("finished_at = finished_at"), [lately, running])
    assert [await upkeep.drop_replays(days_kept=30) for _ in range(2)] == [1, 0]
    assert [await owed.replays.get(number) is not None for number in (long_ago, lately, running)] == [False, True, True]
    await query(
        owed.servers,
        """INSERT INTO notifier.dead_letter (topic, part, record_offset, reason, value, created_at)
        SELECT 'kept', 0, days, 'undecodable', '', now() - days * interval '1 day'
        FROM generate_series(29, 31, 2) AS days""",
    )
    assert [await upkeep.drop_letters(days_kept=30) for _ in range(2)] == [1, 0]
    letters = await query(owed.servers, "DELETE FROM notifier.dead_letter WHERE topic = 'kept' RETURNING record_offset")
    assert [letter["record_offset"] for letter in letters] == [29]


async def _begun(owed: Owed, *, ends: bool) -> int:
    number = await owed.begin()
    assert not ends or await owed.replays.cancel(number)
    return number


async def test_bodies_go_before_ids(owed: Owed) -> None:
    """A month on, body and delivery are gone and the id is still known; after three it may be forgotten."""
    intake, upkeep = IntakeStore(owed.engine, topic="signals"), UpkeepStore(owed.engine)
    message = Message("kept", "account.stalled", "acme", "live", None, b"{}")
    for days, known in ((31, True), (91, False)):
        async with intake.batch() as batch:
            await batch.add_messages([message])
        await query(owed.servers, "DELETE FROM notifier.message WHERE id <> 'kept'")
        await owed.add(1)
        await query(owed.servers, f"UPDATE notifier.message SET created_at = now() - interval '{days} days'")
        await upkeep.drop_ids(days_kept=30)
        await upkeep.drop_bodies(days_kept=30)
        await upkeep.drop_ids(days_kept=90)
        assert await owed.rows() == []
        stored = await query(owed.servers, "SELECT body FROM notifier.message WHERE id = 'kept'")
        assert [bytes(row["body"]) for row in stored] == [b""] * known
        async with intake.batch() as batch:
            assert await batch.add_messages([message]) == (set() if known else {"kept"})
