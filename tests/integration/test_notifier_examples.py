"""Trying an endpoint: examples and pings through the API and the command, and what Slack gets."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

from schemas.signals import TYPES
from tests.builders_signals import SignalPublisher, a_signal
from tests.fakes.receiver import Receiver, answer, verify
from tests.running_notifier import ADMIN_KEY, NotifierClient, Servers, query, running
from tests.unit.notifier.test_slack import check


async def command(notifier: NotifierClient, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`firstvalue` as an operator runs it."""
    environment = {
        **os.environ,
        "FIRSTVALUE_NOTIFIER_URL": str(notifier.http.base_url),
        "FIRSTVALUE_API_KEY": ADMIN_KEY,
    }
    line = [sys.executable, "-m", "services.cli", *arguments]
    return await asyncio.to_thread(
        subprocess.run, line, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


async def test_each_type_has_an_example_that_can_be_sent(surroundings: Servers) -> None:
    """Whatever the endpoint subscribed to: signed, marked as an example, under an id of its own, once per key."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url(), types=["account.closed"])
        path = f"/v1/endpoints/{endpoint['id']}/send-example"
        listed = (await notifier.ask("GET", "/v1/signal-types"))["data"]
        assert [(each["type"], {one["type"] for one in each["examples"]}) for each in listed] == [
            (signal_type, {signal_type}) for signal_type in TYPES
        ]
        for number, signal_type in enumerate(TYPES, start=1):
            sent = await notifier.ask("POST", path, status=202, json={"type": signal_type})
            request = (await receiver.wait_for(number))[-1]
            verify(request, endpoint["secret"])
            body = json.loads(request.body)
            assert (body["type"], body["example"], body["id"]) == (signal_type, True, sent["signal_id"])
            assert request.headers["webhook-id"] == sent["signal_id"]
        headers = {"idempotency-key": "once"}
        repeated = [
            notifier.ask("POST", path, status=202, json={"type": "account.stalled"}, headers=headers) for _ in range(8)
        ]
        first, *others = await asyncio.gather(*repeated)
        assert others == [first] * 7
        other = await notifier.ask("POST", path, status=409, json={"type": "account.closed"}, headers=headers)
        assert other["code"] == "idempotency_key_reused"
        assert (await notifier.ask("POST", path, status=422, json={"type": "account.staled"}))["code"] == "type_unknown"


async def test_what_was_refused_is_not_sent_by_another_request_with_its_key(surroundings: Servers) -> None:
    """A test of a disabled endpoint leaves nothing behind."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url(), types=["account.closed"], enabled=False)
        path, headers = f"/v1/endpoints/{endpoint['id']}", {"idempotency-key": "refused"}
        send: dict[str, Any] = {"path": f"{path}/send-example", "headers": headers}
        refused = await notifier.ask("POST", **send, status=409, json={"type": "account.stalled"})
        assert refused["code"] == "endpoint_disabled"
        await notifier.ask("POST", f"{path}/enable")
        await notifier.ask("POST", **send, status=202, json={"type": "account.closed"})
        (request,) = await receiver.wait_for(1)
        assert json.loads(request.body)["type"] == "account.closed"


async def test_slack_gets_blocks_and_the_same_bytes_on_every_attempt(surroundings: Servers) -> None:
    """Signals, pings and examples are Slack messages there and signals elsewhere; a retry repeats the bytes."""
    publisher = SignalPublisher(surroundings.kafka_bootstrap, surroundings.topic)
    script = [answer(500)]
    settings: dict[str, Any] = {"retry_schedule_seconds": "0.1,0.1"}
    async with (
        Receiver(script=script) as slack,
        Receiver() as plain,
        running(surroundings, **settings) as notifier,
        publisher,
    ):
        endpoint = await notifier.add_endpoint(slack.url(), format="slack")
        assert endpoint["types"] == [
            "account.first_value_reached",
            "account.activated",
            "account.stalled",
            "account.escalated",
            "account.recovered",
        ]
        await notifier.add_endpoint(plain.url())
        await publisher.publish([a_signal(next="Call them."), a_signal(type="account.milestone_reached")])
        first, second = await slack.wait_for(2)
        assert first.body == second.body
        message = check(first.body)
        assert message["blocks"][0]["text"]["text"] == "Stalled: Acme"
        assert {json.loads(each.body)["type"] for each in await plain.wait_for(2)} == {
            "account.stalled",
            "account.milestone_reached",
        }
        for action, body in (("ping", None), ("send-example", {"type": "account.activated"})):
            await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/{action}", status=202, json=body)
        for request in (await slack.wait_for(4))[2:]:
            check(request.body)
        await publisher.publish([a_signal(type="account.erased")])
        await plain.wait_for(3)
        statement = "SELECT count(*) AS n FROM notifier.message WHERE account_id = 'acme' OR slack_body LIKE '%cme%'"
        (kept,) = await query(surroundings, statement)
        # The example is about nobody, although it names an Acme.
        assert kept["n"] == 1
        await query(surroundings, "UPDATE notifier.endpoint SET enabled = false, deleted_at = now()")


async def test_the_command_tells_in_words(surroundings: Servers) -> None:
    """Add, show, patch, ping, send an example, rotate, show the secret, disable, enable, delete."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        added = await command(
            notifier, "endpoint", "add", receiver.url(), "--segment", "smb", "--rate", "5", "--header", "x-team: cs"
        )
        assert added.returncode == 0, added.stderr
        endpoint_id = added.stdout.split()[1]
        shown = (await command(notifier, "endpoint", "show", endpoint_id)).stdout
        assert "5 a second, 5 at once after a pause" in shown
        assert "smb" in shown
        window = "08:00-18:00 Europe/Berlin mon,tue,wed,thu,fri,sat,sun"
        patched = await command(notifier, "endpoint", "patch", endpoint_id, "--window", window, "--clear", "rate")
        assert "08:00-18:00 Europe/Berlin" in patched.stdout, patched.stderr
        assert "a second" not in patched.stdout
        await command(notifier, "endpoint", "patch", endpoint_id, "--clear", "window")
        pinged = await command(notifier, "endpoint", "ping", endpoint_id)
        assert pinged.stdout.startswith("It answered 200 after "), pinged.stderr
        receiver.script.append(answer(404))
        failed = await command(notifier, "endpoint", "send-example", endpoint_id, "account.stalled")
        assert failed.returncode == 1
        assert "It refused the request" in failed.stdout
        assert json.loads(receiver.received[-1].body)["example"] is True
        rotated = await command(notifier, "endpoint", "rotate", endpoint_id, "--json")
        assert len(json.loads(rotated.stdout)["secrets"]) == 2
        secret = await command(notifier, "endpoint", "secret", endpoint_id)
        assert "whsec_" in secret.stdout
        assert "rotated" in secret.stdout
        types = await command(notifier, "signal", "types")
        assert all(name in types.stdout for name in TYPES)
        for verb, told in (("disable", "is disabled"), ("enable", "is enabled")):
            assert told in (await command(notifier, "endpoint", verb, endpoint_id)).stdout
        empty = await command(notifier, "endpoint", "patch", endpoint_id)
        assert (empty.returncode, "Name what to change" in empty.stderr) == (2, True)
        wrong = await command(notifier, "endpoint", "patch", endpoint_id, "--type", "account.staled")
        assert (wrong.returncode, "account.staled" in wrong.stderr) == (1, True)
        assert (await command(notifier, "endpoint", "delete", endpoint_id)).returncode == 2
        assert "is deleted" in (await command(notifier, "endpoint", "delete", endpoint_id, "--yes")).stdout
