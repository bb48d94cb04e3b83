"""Ingest from outside: real service, real Kafka, real PostgreSQL."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.commands import COMMANDS
from schemas.export import EXAMPLES
from schemas.positions import decode_position
from services.ingest.partitions import partitioner
from tests.integration.ingest_process import ADMIN_KEY, IngestProcess, end, launch
from tests.integration.topic_reader import events_of, records_of, ticks_of
from tests.waiting import wait_until

PARTITIONS = 3
_OF_A_SOURCE = {"origins", "quota", "limits", "redaction"}
TRACK: dict[str, Any] = {"type": "track", "event": "Report Generated", "userId": "u-1", "context": {"groupId": "acme"}}


SETTINGS = {"ingest_tick_seconds": 0.2, "ingest_staff": "*@vendor.example"}


def key_with(service: IngestProcess, *scopes: str, **fields: Any) -> str:
    """A new API key."""
    answer = service.post("/v1/keys", {"name": "test", "scopes": scopes, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


async def test_what_was_answered_200_is_in_kafka(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """Accepted events under their account's key, rejected ones as dead letters, both before the answer."""
    events = [{**TRACK, "messageId": f"batch-{number}"} for number in range(50)]
    bad = [
        {**TRACK, "context": None, "userId": None, "anonymousId": "a-1", "messageId": "bad-1"},
        {**TRACK, "properties": {"x": float("nan")}},
    ]
    answer = service.post("/v1/batch", {"batch": [*events, *bad], "sentAt": "2026-11-20T10:00:00Z"})
    assert answer.status_code == 200
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (50, 2)
    assert [(error["index"], error["message_id"], error["code"]) for error in answer.json()["errors"]] == [
        (50, "bad-1", "account_missing"),
        (51, None, "json_invalid"),
    ]
    stored = await records_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    mine = [record for record in stored if record.key and b'"batch-' in record.value]
    assert len(mine) == 50
    # Headers cost a third of the throughput.
    assert not any(record.headers for record in mine)
    assert {(record.key, record.partition) for record in mine} == {partitioner(PARTITIONS)("acme")}
    dead = await records_of(kafka_bootstrap, f"{topic_prefix}product.events.dead.v1")
    reasons = {dict(record.headers)["reason"]: record.value for record in dead}
    assert json.loads(reasons[b"account_missing"]) == bad[0]
    assert b"NaN" in reasons[b"json_invalid"]


@pytest.mark.parametrize("path", ["/v1/track", "/v1/page/", "/v1/screen", "/v1/identify", "/v1/group/", "/v1/alias"])
async def test_each_call_has_its_route(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str, path: str
) -> None:
    """With a slash at the end or not; the route says the type."""
    name = path.strip("/").partition("/")[2]
    body = {**TRACK, "type": None, "groupId": "acme", "previousId": "a", "name": "Home", "messageId": f"route-{name}"}
    assert service.post(path, body).status_code == 200
    events = await events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    [event] = [event for event in events if event.message_id == f"route-{name}"]
    assert event.type == name
    assert event.event == {"track": "Report Generated", "page": "page.viewed", "screen": "screen.viewed"}.get(name)


async def test_commands_answer_where_they_are(service: IngestProcess, kafka_bootstrap: str, topic_prefix: str) -> None:
    """The position is past each command, on every partition that was written."""
    accounts = [f"account-{number}" for number in range(12)]
    lines = "\n".join(
        json.dumps({"command": "set", "account_id": account, "traits": {"segment": "smb"}, "message_id": account})
        for account in accounts
    )
    answer = service.post("/v1/commands", lines.encode())
    assert answer.status_code == 200
    position = decode_position(answer.json()["position"])
    records = await records_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    written = {record.key.decode(): record for record in records if record.key and record.key.startswith(b"account-")}
    assert set(written) == set(accounts)
    last: dict[int, int] = {}
    for record in written.values():
        last[record.partition] = max(record.offset + 1, last.get(record.partition, 0))
    assert position == last


async def test_every_command_lands_on_the_topic_untouched(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """Under its account's key, named by its own name, with the client's bytes as body."""
    bodies = {
        name: json.dumps(
            {**json.loads((EXAMPLES / "command" / f"{name}.json").read_text()), "message_id": f"cmd-{name}"}
        )
        for name in COMMANDS
    }
    answer = service.post("/v1/commands", ("[" + " , ".join(bodies.values()) + "]").encode())
    assert (answer.status_code, answer.json()["errors"]) == (200, [])
    events = await events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    mine = [event for event in events if event.message_id.startswith("cmd-")]
    assert [(event.type, event.event, event.account_id) for event in mine] == [
        ("command", name, "acme") for name in COMMANDS
    ]
    assert {event.event: bytes(event.body).decode() for event in mine} == bodies


async def test_what_erases_needs_an_admin_key_for_the_whole_request(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """403 wherever it stands among others, and none of them is in the log."""
    resume = {"command": "resume", "account_id": "acme", "message_id": "beside-erase"}
    for command in ({"command": "erase"}, {"command": "erase_person", "user_id": "u-1"}):
        erase = {**command, "account_id": "acme", "message_id": "erase-unasked"}
        for body in ([resume, erase], [erase, resume], erase):
            refused = service.post("/v1/commands", body, key=key_with(service, "accounts:write"))
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
            assert "admin" in refused.json()["message"]
    allowed = service.post("/v1/commands", {**erase, "message_id": "erase-asked"}, key=key_with(service, "admin"))
    assert (allowed.status_code, allowed.json()["accepted"]) == (200, 1)
    events = await events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    seen = {event.message_id for event in events} & {"beside-erase", "erase-unasked", "erase-asked"}
    assert seen == {"erase-asked"}
    dead = await records_of(kafka_bootstrap, f"{topic_prefix}product.events.dead.v1")
    assert not [record for record in dead if b"erase-unasked" in record.value]


async def test_ticks_reach_every_partition_and_know_the_newest_product_event(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """Commands and calls about people do not count: a CRM's nightly import must not hide a silent product."""
    topic = f"{topic_prefix}product.events.v1"
    assert service.post("/v1/track", TRACK).status_code == 200
    newest = max(event.received_at for event in await events_of(kafka_bootstrap, topic) if event.type == "track")
    assert service.post("/v1/identify", TRACK).status_code == 200
    before = sum(len(ticks) for ticks in (await ticks_of(kafka_bootstrap, topic)).values())
    published = service.metric("firstvalue_ingest_events_total", outcome="accepted")
    assert published > 0
    ticks: dict[int, list[Any]] = {}
    for _ in range(50):
        ticks = await ticks_of(kafka_bootstrap, topic)
        if sum(map(len, ticks.values())) >= before + 2 * PARTITIONS:
            break
    assert set(ticks) == set(range(PARTITIONS))
    assert {ticks[partition][-1].last_event_at for partition in ticks} == {newest}
    for partition_ticks in ticks.values():
        sent = [tick.sent_at for tick in partition_ticks]
        assert sent == sorted(sent)


@pytest.mark.parametrize(
    ("path", "body", "options", "status", "code"),
    [
        ("/v1/batch", b'{"batch":[', {}, 400, "body_not_json"),
        ("/v1/batch", {"batch": []}, {}, 400, "batch_empty"),
        ("/v1/batch", {"batch": [{}, {}]}, {}, 400, "events_rejected"),
        ("/v1/track", {**TRACK, "context": None, "userId": None, "anonymousId": "a"}, {}, 400, "account_missing"),
        ("/v1/batch", {"batch": [TRACK] * 1001}, {}, 413, "too_many_events"),
        ("/v1/track", b"x" * 5_242_881, {}, 413, "body_too_large"),
        ("/v1/track", gzip.compress(bytes(50_000_000)), {}, 413, "body_too_large"),
        ("/v1/track", b"{}", {"headers": {"content-encoding": "br"}}, 415, "encoding_unsupported"),
        ("/v1/track", TRACK, {"key": None}, 401, "key_missing"),
        ("/v1/track", TRACK, {"key": "fv_wrong"}, 401, "key_unknown"),
        ("/v1/track", TRACK, {"headers": {"x-write-key": "other"}}, 401, "keys_differ"),
        ("/v1/track", {**TRACK, "writeKey": "other"}, {}, 401, "keys_differ"),
        ("/v1/keys", {"name": ""}, {}, 422, "invalid_request"),
        ("/v1/nowhere", {}, {}, 404, "not_found"),
    ],
)
def test_every_error_has_one_shape(
    service: IngestProcess, path: str, body: Any, options: dict[str, Any], status: int, code: str
) -> None:
    """`code`, `message` and `request_id`, which two popular SDKs need in order not to retry for ever."""
    answer = service.post(path, body, **options)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"].endswith(".")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "detail" not in answer.json()


def test_a_wrong_method_and_a_preflight_are_answered(service: IngestProcess) -> None:
    """405 says what to use; browsers may ask before they send."""
    wrong = httpx.get(service.url + "/v1/track")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (
        405,
        "method_not_allowed",
        "POST, OPTIONS",
    )
    preflight = httpx.options(service.url + "/v1/batch/")
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"]


def test_a_key_does_what_its_scopes_say_until_it_is_revoked(service: IngestProcess) -> None:
    """In every place that clients put it; a key that is gone and one that never was look the same."""
    key = key_with(service, "events:write")
    assert service.post("/v1/track", TRACK, key=key).status_code == 200
    assert service.post("/v1/track", TRACK, key=None, headers={"x-write-key": key}).status_code == 200
    assert service.post("/v1/batch", {"batch": [TRACK], "writeKey": key}, key=None).status_code == 200
    assert httpx.post(service.url + "/v1/track", json=TRACK, auth=(key, "")).status_code == 200
    for path in ("/v1/commands", "/v1/keys"):
        refused = service.post(path, {}, key=key)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    key_id = key.split("_")[1]
    admin = {"authorization": f"Bearer {ADMIN_KEY}"}
    assert httpx.delete(f"{service.url}/v1/keys/{key_id}", headers=admin).status_code == 204
    revoked = service.post("/v1/track", TRACK, key=key)
    assert (revoked.status_code, revoked.json()["code"]) == (401, "key_unknown")
    assert httpx.delete(f"{service.url}/v1/keys/nobody", headers=admin).status_code == 404


def test_keys_are_listed_without_secrets_page_by_page(service: IngestProcess) -> None:
    """Newest first; the key itself is in the answer to its creation alone."""
    created = [key_with(service, "accounts:read").split("_")[1] for _ in range(3)]
    admin = {"authorization": f"Bearer {ADMIN_KEY}"}
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = httpx.get(
            service.url + "/v1/keys", params={"limit": 2, **({"cursor": cursor} if cursor else {})}, headers=admin
        ).json()
        seen += page["data"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [row["id"] for row in seen][:3] == created[::-1]
    assert len({row["id"] for row in seen}) == len(seen)
    assert all(
        set(row) == {"id", "name", "scopes", "created_at", "expires_at", "revoked_at", *_OF_A_SOURCE} for row in seen
    )


def test_creating_a_key_twice_with_one_idempotency_key_creates_one(service: IngestProcess) -> None:
    """The repeat names the key but cannot show it; another request under the same header is refused."""
    headers = {"idempotency-key": "create-once"}
    first = service.post("/v1/keys", {"name": "a", "scopes": ["admin"]}, headers=headers)
    again = service.post("/v1/keys", {"name": "a", "scopes": ["admin"]}, headers=headers)
    other = service.post("/v1/keys", {"name": "b", "scopes": ["admin"]}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert (again.json()["id"], again.json()["key"]) == (first.json()["id"], None)


def test_the_document_shows_every_route_with_an_example(service: IngestProcess) -> None:
    """The hot routes too, although they are answered in front of the framework."""
    paths = httpx.get(service.url + "/openapi.json").json()["paths"]
    assert {"/v1/batch", "/v1/track", "/v1/commands", "/v1/keys", "/v1/keys/{key_id}"} <= set(paths)
    for path in ("/v1/batch", "/v1/import", "/v1/track", "/v1/identify", "/v1/group", "/v1/page", "/v1/commands"):
        operation = paths[path]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        for example in [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]:
            answer = service.post(path, example)
            assert answer.status_code == 200, answer.text
            assert set(answer.json()) <= set(operation["responses"]["200"]["content"]["application/json"]["example"])


def test_a_service_that_is_asked_to_stop_ends_cleanly(service: IngestProcess, tmp_path: Path) -> None:
    """Exit status 0, and nothing alarming in its log."""
    other = launch(service.environment, tmp_path)
    other.wait_ready()
    assert other.post("/v1/track", TRACK).status_code == 200
    assert end(other) == 0
    assert not [line for line in other.logged() if line["level"] in ("error", "critical")]
    assert ADMIN_KEY not in other.log.read_text()


def test_a_service_refuses_a_stale_schema_and_missing_topics(
    service: IngestProcess, fresh_database: Any, tmp_path: Path
) -> None:
    """One line that says what to run, and exit status 1."""
    for changes, advice in (
        ({"DATABASE_URL": fresh_database("empty")}, "firstvalue migrate"),
        ({"FIRSTVALUE_TOPIC_PREFIX": "nowhere."}, "firstvalue topics"),
    ):
        refused = launch({**service.environment, **changes}, tmp_path)
        assert refused.process.wait(60) == 1
        (line,) = [line for line in refused.logged() if line["event"] == "start_refused"]
        assert advice in line["reason"]


def test_metrics_count_what_happened(service: IngestProcess) -> None:
    """Requests by route and status, events by outcome; what is held in memory returns to nothing."""
    name = "firstvalue_ingest_requests_total"
    before = service.metric(name, route="/v1/track", code="200")
    assert service.post("/v1/track", TRACK).status_code == 200
    wait_until(lambda: service.metric(name, route="/v1/track", code="200") == before + 1)
    assert service.metric("firstvalue_ingest_events_total", outcome="rejected", reason="account_missing") >= 0
    wait_until(lambda: service.metric("firstvalue_ingest_inflight_bytes") == 0)
