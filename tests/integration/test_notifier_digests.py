"""A flood of one type becomes twenty messages and a digest, on real Kafka and PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

from services.notifier.store.digests import forget_in_digests
from services.runtime.postgres import connect
from tests.builders_signals import SignalPublisher, a_signal
from tests.fakes.receiver import Receiver
from tests.running_notifier import Servers, query, running
from tests.unit.notifier.test_slack import check
from tests.waiting import until


def stalled(number: int) -> Any:
    """A signal about the account of this number."""
    return a_signal(account_id=f"account-{number}", sequence=number)


async def held(servers: Servers, count: int) -> None:
    """Wait until so many deliveries are held for a digest."""

    async def there() -> bool:
        rows = await query(servers, "SELECT 1 FROM notifier.delivery WHERE hold_reason = 'digest'")
        return len(rows) == count

    await until(there)


async def end_window(servers: Servers) -> None:
    """Let ten minutes pass for the database."""
    await query(servers, "UPDATE notifier.digest_window SET opened_at = opened_at - interval '10 minutes'")


async def test_a_flood_is_told_once(surroundings: Servers) -> None:
    """Twenty at once; the rest in one message that names each; another type, another endpoint and what comes later are
    not held back; an erased account is in no digest."""
    publisher = SignalPublisher(surroundings.kafka_bootstrap, surroundings.topic)
    async with Receiver() as slack, Receiver() as plain, running(surroundings) as notifier, publisher:
        channel = await notifier.add_endpoint(slack.url(), format="slack")
        await notifier.add_endpoint(plain.url())
        await publisher.publish([stalled(number) for number in range(1, 15)])
        await slack.wait_for(14)
        await publisher.publish([stalled(number) for number in range(15, 31)])
        await publisher.publish([a_signal(type="account.activated", account_id="account-1")])
        await plain.wait_for(31)
        await slack.wait_for(21)
        await held(surroundings, 10)
        await publisher.publish([a_signal(type="account.erased", account_id="account-30")])
        await held(surroundings, 9)
        assert len(slack.received) == 21
        await end_window(surroundings)
        digest = (await slack.wait_for(22))[21]
        told = json.dumps(check(digest.body))
        assert "9 more: Stalled" in told
        assert all(f"account-{number} stalled" in told for number in range(21, 30))
        assert "account-30" not in told
        rows = await notifier.deliveries(endpoint_id=channel["id"], status="digested")
        assert len(rows) == 9
        assert {row["digest_id"] for row in rows} == {digest.headers["webhook-id"]}
        await publisher.publish([stalled(number) for number in (31, 32)])
        await slack.wait_for(24)
        await query(surroundings, "UPDATE notifier.endpoint SET enabled = false, deleted_at = now()")


async def test_an_erasure_takes_an_account_out_of_a_digest_on_its_way(surroundings: Servers) -> None:
    """What was not sent yet is made anew without it; one that was sent is blanked."""
    publisher = SignalPublisher(surroundings.kafka_bootstrap, surroundings.topic)
    settings: dict[str, Any] = {"retry_schedule_seconds": "300"}
    async with Receiver() as slack, running(surroundings, **settings) as notifier, publisher:
        channel = await notifier.add_endpoint(slack.url(), format="slack", types=["account.at_risk"])
        risks = [a_signal(type="account.at_risk", account_id=f"risk-{number}") for number in range(1, 24)]
        await publisher.publish(risks)
        await slack.wait_for(20)
        await held(surroundings, 3)
        window = {"time_zone": "UTC", "from": "00:00", "until": "00:00"}
        closed = "UPDATE notifier.endpoint_gate SET not_before = now() + interval '1 hour' WHERE endpoint_id = $1"
        await query(surroundings, closed, channel["id"])
        await end_window(surroundings)

        async def made() -> list[Any]:
            return await notifier.deliveries(endpoint_id=channel["id"], status="pending")

        (waiting,) = await until(made)
        await publisher.publish([a_signal(type="account.erased", account_id="risk-22")])

        async def anew() -> bool:
            rows = await made()
            return len(rows) == 1 and rows[0]["id"] != waiting["id"]

        await until(anew)
        await query(surroundings, closed.replace("+ interval", "- interval"), channel["id"])
        await notifier.ask("PATCH", f"/v1/endpoints/{channel['id']}", json={"delivery_window": window})
        digest = (await slack.wait_for(21))[20]
        told = json.dumps(check(digest.body))
        assert "2 more: At risk" in told
        assert "risk-22" not in told
        await publisher.publish([a_signal(type="account.erased", account_id="risk-23")])

        async def forgotten() -> bool:
            statement = """SELECT 1 FROM notifier.message WHERE type <> 'account.erased'
                AND (slack_body LIKE '%risk-23%' OR body LIKE '%risk-23%')"""
            return not await query(surroundings, statement)

        await until(forgotten)


async def test_what_was_retried_by_hand_waits_for_no_further_digest(surroundings: Servers) -> None:
    """When an erasure withdraws a digest, only what nobody has sent otherwise waits for the next one."""
    await query(
        surroundings,
        """INSERT INTO notifier.delivery (message_id, endpoint_id, type, status, digest_id)
        SELECT id, 'ep_nobodys', 'account.stalled', status, digest FROM (VALUES
            ('erased', 'digested', 'digest'), ('retried', 'succeeded', 'digest'), ('told', 'digested', 'digest'),
            ('digest', 'pending', NULL)) AS given(id, status, digest)""",
    )
    engine = connect(surroundings.database_url, service="test")
    async with engine.begin() as connection:
        assert await forget_in_digests(connection, ["erased"]) == ["digest"]
    await engine.dispose()
    rows = await query(
        surroundings, "DELETE FROM notifier.delivery WHERE endpoint_id = 'ep_nobodys' RETURNING message_id, status"
    )
    states = {"erased": "digested", "retried": "succeeded", "told": "held", "digest": "cancelled"}
    assert {row["message_id"]: row["status"] for row in rows} == states
