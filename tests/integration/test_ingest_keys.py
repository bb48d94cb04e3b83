"""Keys from outside: pace, limits and redaction of a source, changes and revocations that count everywhere at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.ingest_process import ADMIN_KEY, IngestProcess, ingest_environment, prepare, running_ingest
from tests.integration.topic_reader import events_of, records_of

TRACK: dict[str, Any] = {"type": "track", "event": "X", "userId": "u-1", "context": {"groupId": "acme"}}
# What is promised; a refresh is asked for each second, and a notice makes it sooner.
EVERYWHERE_SECONDS = 2.0


@pytest.fixture(scope="module")
def replicas(
    database_url: str, kafka_bootstrap: str, topic_prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[IngestProcess, IngestProcess]]:
    """Two services on the same servers."""
    environment = ingest_environment(
        database_url=database_url, kafka_bootstrap=kafka_bootstrap, topic_prefix=topic_prefix
    )
    prepare(environment)
    folder = tmp_path_factory.mktemp("ingest")
    with running_ingest(environment, folder) as one, running_ingest(environment, folder) as other:
        yield one, other


def new_key(service: IngestProcess, **fields: Any) -> tuple[str, str]:
    """(id, key)."""
    answer = service.post("/v1/keys", {"name": "test", "scopes": ["events:write"], **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.json()["key"]


def patch(service: IngestProcess, key_id: str, body: dict[str, Any]) -> httpx.Response:
    """The answer to a change."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    return httpx.patch(f"{service.url}/v1/keys/{key_id}", json=body, headers=headers, timeout=15)


def seconds_until(status: int, service: IngestProcess, key: str) -> float:
    """How long it took until a request with `key` was answered so."""
    began = time.monotonic()
    while service.post("/v1/track", TRACK, key=key).status_code != status:
        assert time.monotonic() - began < 30
    return time.monotonic() - began


def test_a_key_counts_and_a_revocation_ends_it_everywhere(replicas: tuple[IngestProcess, IngestProcess]) -> None:
    """On another replica at once when created, and within two seconds when revoked."""
    one, other = replicas
    key_id, key = new_key(one)
    assert other.post("/v1/track", TRACK, key=key).status_code == 200
    revoked = httpx.delete(f"{one.url}/v1/keys/{key_id}", headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=15)
    assert revoked.status_code == 204
    assert seconds_until(401, other, key) < EVERYWHERE_SECONDS
    assert one.post("/v1/track", TRACK, key=key).status_code == 401


def test_a_revocation_ends_a_request_whose_body_is_still_on_its_way(
    replicas: tuple[IngestProcess, IngestProcess],
) -> None:
    """Else a slow sender would write for as long as a body may take."""
    one, _ = replicas
    key_id, key = new_key(one)
    body = json.dumps(TRACK).encode()

    def slowly() -> Iterator[bytes]:
        yield body[:10]
        assert httpx.delete(f"{one.url}/v1/keys/{key_id}", headers=admin, timeout=15).status_code == 204
        yield body[10:]

    admin = {"authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(timeout=15) as slow:
        answer = slow.post(f"{one.url}/v1/track", content=slowly(), headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_unknown")


def test_a_source_over_its_quota_is_answered_429(replicas: tuple[IngestProcess, IngestProcess]) -> None:
    """With both headers; other sources are not held up; the quota can be changed and taken back."""
    one, other = replicas
    key_id, key = new_key(one, quota={"events_per_second": 0.1, "burst_seconds": 10})
    assert one.post("/v1/batch", {"batch": [TRACK] * 5}, key=key).status_code == 200
    refused = one.post("/v1/track", TRACK, key=key)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert refused.headers["retry-after"] == refused.headers["x-ratelimit-reset"]
    assert 1 <= int(refused.headers["retry-after"]) <= 50
    in_body = one.post("/v1/track", {**TRACK, "writeKey": key}, key=None)
    assert in_body.status_code == 429
    assert one.post("/v1/track", TRACK).status_code == 200
    changed = patch(other, key_id, {"quota": None})
    assert (changed.status_code, changed.json()["quota"]) == (200, None)
    assert seconds_until(200, one, key) < EVERYWHERE_SECONDS


def test_bytes_have_a_quota_too(replicas: tuple[IngestProcess, IngestProcess]) -> None:
    """A request may be larger than the burst; the next one waits."""
    one, _ = replicas
    _, key = new_key(one, quota={"bytes_per_second": 1})
    assert one.post("/v1/track", TRACK, key=key).status_code == 200
    assert one.post("/v1/track", TRACK, key=key).status_code == 429


def test_a_source_has_limits_of_its_own(replicas: tuple[IngestProcess, IngestProcess]) -> None:
    """Lower ones wherever the key stands, higher ones where it stands in a header."""
    one, _ = replicas
    _, low = new_key(one, limits={"events_max": 2, "event_bytes_max": 300, "body_bytes_max": 1024})
    too_many, too_long = {"batch": [TRACK] * 3}, {**TRACK, "properties": {"x": "y" * 300}}
    for options in ({"key": low}, {"key": None}):
        of_body = {} if options["key"] else {"writeKey": low}
        assert one.post("/v1/batch", {**too_many, **of_body}, **options).status_code == 413
        assert one.post("/v1/track", {**too_long, **of_body}, **options).json()["code"] == "event_too_large"
        assert one.post("/v1/track", {**too_long, "a": "b" * 1024, **of_body}, **options).status_code == 413
    _, high = new_key(one, limits={"events_max": 2_000})
    assert one.post("/v1/batch", {"batch": [TRACK] * 1_500}, key=high).status_code == 200


async def test_what_must_not_be_told_never_reaches_kafka(
    replicas: tuple[IngestProcess, IngestProcess], kafka_bootstrap: str, topic_prefix: str
) -> None:
    """Neither from an event, nor from what its batch says about all, nor as a dead letter, nor in the directory."""
    one, _ = replicas
    secret = "planted-7f3a"
    _, key = new_key(one, redaction={"drop": ["properties.card", "context.ip"], "hash": ["context.traits.email"]})
    good = {**TRACK, "messageId": "redacted-1", "properties": {"card": secret, "rows": 1}}
    shared = {"ip": secret, "traits": {"email": f"{secret}@acme.example"}}
    no_account = {**good, "messageId": "redacted-2", "context": None, "userId": None, "anonymousId": "a"}
    not_json = {**good, "messageId": "redacted-3", "properties": {"card": secret, "x": float("nan")}}
    body = {"batch": [good, no_account, not_json], "context": shared}
    assert one.post("/v1/batch", body, key=key).json()["accepted"] == 1
    [event] = [
        event
        for event in await events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
        if event.message_id == "redacted-1"
    ]
    kept = json.loads(bytes(event.body))
    assert kept["properties"] == {"rows": 1}
    assert kept["context"]["traits"]["email"].startswith("hash:")
    for topic in ("product.events.v1", "product.events.unresolved.v1", "product.events.dead.v1"):
        for record in await records_of(kafka_bootstrap, topic_prefix + topic):
            assert secret.encode() not in record.value


async def test_no_topic_holds_the_whole_address_of_a_client(
    replicas: tuple[IngestProcess, IngestProcess], kafka_bootstrap: str, topic_prefix: str
) -> None:
    """Neither what an event says, wherever it ends, nor where the request came from."""
    one, _ = replicas
    whole, user = "198.51.100.77", "address-unknown"
    waits = {**TRACK, "userId": user, "context": {"ip": whole}}
    refused = [{**TRACK, "event": "", "context": {"ip": whole}}, {**waits, "properties": {"x": float("nan")}}]
    assert one.post("/v1/batch", {"batch": [TRACK, waits, *refused], "context": {"ip": whole}}).json()["accepted"] == 2
    found = [
        record.value
        for topic in ("product.events.v1", "product.events.unresolved.v1", "product.events.dead.v1")
        for record in await records_of(kafka_bootstrap, topic_prefix + topic)
    ]
    assert sum(b'"198.51.100.0"' in value for value in found) >= 2
    assert not [value for value in found if whole.encode() in value or b"127.0.0.1" in value]


def test_what_cannot_be_is_refused(replicas: tuple[IngestProcess, IngestProcess]) -> None:
    """With what to do; nothing is stored."""
    one, _ = replicas
    key_id, _ = new_key(one, scopes=["events:write", "accounts:write"])
    for body in (
        {"quota": {"events_per_second": 0}},
        {"redaction": {"drop": ["$.context.ip"]}},
        {"limits": {"events": 1}},
    ):
        assert patch(one, key_id, body).json()["code"] == "invalid_request"
    assert patch(one, key_id, {"origins": ["https://a.example"]}).json()["code"] == "browser_key_scopes"
    admin = {"authorization": f"Bearer {ADMIN_KEY}"}
    assert httpx.delete(f"{one.url}/v1/keys/{key_id}", headers=admin, timeout=15).status_code == 204
    for not_there in ("nobody", key_id):
        answer = patch(one, not_there, {}).json()
        assert (answer["code"], "or it is revoked" in answer["message"]) == ("key_not_found", True)


@pytest.mark.parametrize("none", [None, []], ids=["null", "empty"])
def test_a_browser_key_never_becomes_a_server_s(replicas: tuple[IngestProcess, IngestProcess], none: Any) -> None:
    """Without origins everybody who has read it in a page could use it from anywhere."""
    one, _ = replicas
    key_id, key = new_key(one, origins=["https://app.acme.example"])
    assert patch(one, key_id, {"origins": none}).json()["code"] == "browser_key_origins"
    assert one.post("/v1/track", TRACK, key=key).json()["code"] == "origin_not_allowed"
    moved = patch(one, key_id, {"origins": ["https://new.acme.example"]})
    assert moved.json()["origins"] == ["https://new.acme.example"]


def test_the_operator_changes_keys_from_the_command_line(replicas: tuple[IngestProcess, IngestProcess]) -> None:
    """What is named replaces what was set of it; the rest stays."""
    one, _ = replicas

    def run(*arguments: str) -> Any:
        environment = {**os.environ, "FIRSTVALUE_INGEST_URL": one.url, "FIRSTVALUE_API_KEY": ADMIN_KEY}
        command = [sys.executable, "-m", "services.cli", "key", *arguments, "--json"]
        done = subprocess.run(
            command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    created = run("create", "web", "--scope", "events:write", "--events-per-second", "50", "--hash", "userId")
    assert created["quota"]["events_per_second"] == 50
    changed = run("patch", created["id"], "--drop", "context.ip", "--events-max", "10", "--clear", "quota")
    assert changed["quota"] is None
    assert changed["limits"]["events_max"] == 10
    assert changed["redaction"]["drop"] == ["context.ip"]
