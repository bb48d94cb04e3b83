"""The notifier's HTTP API: endpoints, their secrets, lists, problems, scopes, documentation."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

from tests.fakes.receiver import Received, Receiver, answer, verify
from tests.running_notifier import Servers, query, running
from tests.waiting import until

URL = "http://127.0.0.1:9/hook"


async def test_endpoint_life(surroundings: Servers) -> None:
    """Create, read, change, list by pages, show the secret, disable, delete; the secret is not readable at rest."""
    async with running(surroundings) as notifier:
        made = await notifier.add_endpoint(URL, types=["account.stalled"], description="inbox")
        assert made["secret"].startswith("whsec_")
        path = f"/v1/endpoints/{made['id']}"
        read = await notifier.ask("GET", path)
        assert read == {name: value for name, value in made.items() if name not in ("secret", "public_key")}
        assert (read["types"], read["origins"], read["timeout_seconds"]) == (["account.stalled"], ["live"], 15.0)
        assert (await notifier.ask("GET", f"{path}/secret"))["secret"] == made["secret"]
        (stored,) = await query(
            surroundings, "SELECT * FROM notifier.endpoint_secret WHERE endpoint_id = $1", made["id"]
        )
        assert made["secret"].encode() not in bytes(stored["ciphertext"])
        changed = await notifier.ask("PATCH", path, json={"types": ["account.*"], "enabled": False})
        assert (changed["types"], changed["status"], changed["disabled_reason"]) == (
            ["account.*"],
            "disabled",
            "manual",
        )
        others = [(await notifier.add_endpoint(URL))["id"] for _ in range(2)]
        first = await notifier.ask("GET", "/v1/endpoints", params={"limit": "2"})
        second = await notifier.ask("GET", "/v1/endpoints", params={"limit": "2", "cursor": first["next"]})
        assert [row["id"] for row in first["data"] + second["data"]] == [made["id"], *others]
        assert second["next"] is None
        await notifier.ask("POST", f"{path}/ping", status=409)
        await notifier.ask("POST", f"{path}/enable")
        for endpoint_id in (made["id"], *others):
            await notifier.ask("DELETE", f"/v1/endpoints/{endpoint_id}", status=204)
        assert (await notifier.ask("GET", path, status=404))["code"] == "endpoint_not_found"
        assert await query(surroundings, "SELECT 1 FROM notifier.endpoint_secret") == []


async def test_to_say_again_that_an_endpoint_is_enabled_opens_no_gate(surroundings: Servers) -> None:
    """A program that sends all terms every minute keeps no breaker from opening; whoever asks to enable it does."""
    async with running(surroundings) as notifier:
        path = f"/v1/endpoints/{(await notifier.add_endpoint('https://hooks.example.com/'))['id']}"
        await query(surroundings, "UPDATE notifier.endpoint_gate SET failing_since = now()")
        for enabled, status in ((True, "failing"), (False, "disabled"), (False, "disabled"), (True, "enabled")):
            changed = await notifier.ask("PATCH", path, json={"enabled": enabled})
            assert changed["status"] == status
        await query(surroundings, "UPDATE notifier.endpoint_gate SET failing_since = now()")
        assert (await notifier.ask("POST", f"{path}/enable"))["status"] == "enabled"


async def test_who_never_sends_the_rest_of_a_request_does_not_hold_up_the_end(surroundings: Servers) -> None:
    """It is told to come back while there is time to drain, which is five seconds here."""
    async with running(surroundings) as notifier:
        address = notifier.http.base_url
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST /v1/endpoints HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
        await notifier.ask("GET", "/v1/endpoints")
        asked_to_end = time.monotonic()
    assert time.monotonic() - asked_to_end < 10
    assert (await reader.read()).startswith(b"HTTP/1.1 503")
    writer.close()


async def test_creation_is_idempotent(surroundings: Servers) -> None:
    """The same Idempotency-Key answers the same endpoint; with another body it is refused."""
    async with running(surroundings) as notifier:
        headers = {"idempotency-key": "once"}
        answers = [
            await notifier.ask("POST", "/v1/endpoints", status=201, json={"url": URL}, headers=headers)
            for _ in range(2)
        ]
        assert answers[0] == answers[1]
        other = {"url": URL, "description": "another"}
        refused = await notifier.ask("POST", "/v1/endpoints", status=409, json=other, headers=headers)
        assert refused["code"] == "idempotency_key_reused"


async def test_bad_endpoints_are_refused_with_codes(surroundings: Servers) -> None:
    """Each mistake has a stable code and a sentence that says what to do."""
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"url": "https://169.254.169.254/latest"}, "address_forbidden"),
        ({"url": "https://10.0.0.1/"}, "address_forbidden"),
        ({"url": "http://8.8.8.8/"}, "address_forbidden"),
        ({"url": "http://2130706433/"}, "address_forbidden"),
        ({"url": "https://localhost/"}, "address_forbidden"),
        ({"url": "http://[::1]/"}, "address_forbidden"),
        ({"url": "https://me:secret@hooks.example.com/"}, "url_invalid"),
        ({"url": "hooks.example.com"}, "url_invalid"),
        ({"url": URL, "types": ["account.staled"]}, "type_unknown"),
        ({"url": URL, "secret": "whsec_short"}, "secret_invalid"),
        ({"url": URL, "timeout_seconds": 31}, "invalid_request"),
        ({"url": URL, "concurrency_max": 0}, "invalid_request"),
        ({"url": URL, "tipes": []}, "invalid_request"),
        ({"url": URL, "origins": ["yesterday"]}, "invalid_request"),
        ({"url": URL, "description": "a\0b"}, "invalid_request"),
        ({}, "invalid_request"),
    ]
    async with running(surroundings) as notifier:
        for body, code in mistakes:
            problem = await notifier.ask("POST", "/v1/endpoints", status=422, json=body)
            assert (problem["code"], bool(problem["message"]), bool(problem["request_id"])) == (code, True, True), body
        made = await notifier.add_endpoint(URL)
        moved = {"url": "https://192.168.0.1/"}
        assert (await notifier.ask("PATCH", f"/v1/endpoints/{made['id']}", status=422, json=moved))["code"] == (
            "address_forbidden"
        )
        assert (await notifier.ask("GET", "/v1/deliveries/dlv_999999", status=404))["code"] == "delivery_not_found"
        assert (await notifier.ask("GET", "/v1/deliveries/1", status=404))["code"] == "delivery_not_found"
        assert (await notifier.ask("GET", "/v1/deliveries?cursor=x", status=400))["code"] == "cursor_invalid"
        # A time that no calendar has in UTC.
        made_up = "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwieCJd"
        assert (await notifier.ask("GET", f"/v1/endpoints?cursor={made_up}", status=400))["code"] == "cursor_invalid"
        assert (await notifier.ask("GET", "/v1/deliveries?status=lost", status=422))["code"] == "invalid_request"


async def test_ping_is_signed_and_listed(surroundings: Servers) -> None:
    """A ping goes the way of every signal; lists filter by status, endpoint and type, and page."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        own = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
        endpoint = await notifier.add_endpoint(receiver.url(), types=["account.stalled"], secret=own)
        assert endpoint["secret"] == own
        for _ in range(3):
            await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/ping", status=202)
        for request in await receiver.wait_for(3):
            verify(request, own)
        wanted = {"endpoint": endpoint["id"], "type": "endpoint.ping", "status": "succeeded"}

        async def recorded() -> list[Any] | None:
            rows = await notifier.deliveries(**wanted)
            return rows if len(rows) == 3 else None

        rows = await until(recorded)
        assert {"id", "signal_id", "type", "endpoint_id", "status", "attempts", "next_at"} <= rows[0].keys()
        page = await notifier.ask("GET", "/v1/deliveries", params={**wanted, "limit": "2"})
        rest = await notifier.ask("GET", "/v1/deliveries", params={**wanted, "limit": "2", "cursor": page["next"]})
        assert page["data"] + rest["data"] == rows
        assert await notifier.deliveries(endpoint_id=endpoint["id"], type="account.stalled") == []
        metric = 'firstvalue_notifier_attempts_total{result="http_2xx",trigger="first"}'
        assert await notifier.metric(metric) == 3


async def test_deleting_cancels_what_waits(surroundings: Servers) -> None:
    """A delivery of a deleted endpoint is cancelled, also the one on the wire, and cannot be retried."""
    deleted = asyncio.Event()

    async def once_deleted(request: Received, writer: asyncio.StreamWriter) -> None:
        await deleted.wait()
        await answer(200)(request, writer)

    async with Receiver(behaviour=once_deleted) as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url(), timeout_seconds=30, concurrency_max=1)
        path = f"/v1/endpoints/{endpoint['id']}"
        sent = [await notifier.ask("POST", f"{path}/ping", status=202) for _ in range(2)]
        await receiver.wait_for(1)
        problem = await notifier.ask("POST", f"/v1/deliveries/{sent[0]['delivery_id']}/retry", status=409)
        assert problem["code"] == "delivery_in_flight"
        await notifier.ask("DELETE", path, status=204)
        rows = await notifier.deliveries(endpoint_id=endpoint["id"])
        assert [row["status"] for row in rows] == ["cancelled", "cancelled"]
        problem = await notifier.ask("POST", f"/v1/deliveries/{sent[0]['delivery_id']}/retry", status=409)
        assert problem["code"] == "endpoint_disabled"
        deleted.set()

        async def logged_late() -> bool:
            log = (await notifier.ask("GET", f"/v1/deliveries/{sent[0]['delivery_id']}"))["log"]
            return [(entry["result"], entry["late"]) for entry in log] == [("http_2xx", True)]

        await until(logged_late)
        assert [row["status"] for row in await notifier.deliveries(endpoint_id=endpoint["id"])] == ["cancelled"] * 2


async def test_stale_schema_refuses_to_start(surroundings: Servers, fresh_database: Any) -> None:
    """Without migrations the process ends with status 1 and says what to run."""
    environment = surroundings.environment() | {"DATABASE_URL": fresh_database("stale")}
    command = [sys.executable, "-m", "services.notifier"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)  # noqa: ASYNC221
    assert done.returncode == 1
    assert "run `firstvalue migrate` first" in done.stderr


async def test_old_log_is_dropped_and_partitions_lie_ahead(surroundings: Servers) -> None:
    """The attempt log has a partition for each coming day, and loses those past retention."""
    partitions = "SELECT relname FROM pg_class WHERE relname ~ '^attempt_[0-9]{8}$' ORDER BY 1"
    assert len(await query(surroundings, partitions)) >= 8
    await query(
        surroundings,
        "CREATE TABLE notifier.attempt_20200101 PARTITION OF notifier.attempt "
        "FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00')",
    )
    async with running(surroundings):

        async def dropped() -> bool:
            return all(row["relname"] != "attempt_20200101" for row in await query(surroundings, partitions))

        await until(dropped)


def test_an_unusable_setting_is_told_without_its_value() -> None:
    """The process ends; what was given is a secret."""
    environment = Servers("postgresql://nobody@127.0.0.1:1/none", "127.0.0.1:1", "").environment()
    environment["FIRSTVALUE_NOTIFIER_SECRET_KEY"] = "nonsense"
    command = [sys.executable, "-m", "services.notifier"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "secret_key" in done.stderr
    assert "nonsense" not in done.stderr
