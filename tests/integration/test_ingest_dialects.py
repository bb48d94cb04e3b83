"""Every route of every dialect, with the key wherever its clients put it: real service, real Kafka."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from tests.integration.ingest_process import ADMIN_KEY, IngestProcess
from tests.integration.topic_reader import events_of

SEGMENT: dict[str, Any] = {
    "event": "Report Generated",
    "userId": "kim",
    "groupId": "acme",
    "previousId": "before",
    "context": {"groupId": "acme"},
    "timestamp": "2026-11-20T10:00:00Z",
}
POSTHOG: dict[str, Any] = {
    "event": "Report Generated",
    "distinct_id": "kim",
    "timestamp": "2026-11-20T10:00:00Z",
    "properties": {"$groups": {"company": "acme"}},
}
CLOUD: dict[str, Any] = {
    "specversion": "1.0",
    "source": "s",
    "type": "report.generated",
    "partitionkey": "acme",
    "time": "2026-11-20T10:00:00Z",
}
CALLS = ("track", "identify", "group", "page", "screen", "alias")
BATCHES = ("/v1/batch", "/v1/import", "/v1/b", "/beacon/v1/batch")
SEGMENT_PATHS = [*BATCHES, *(f"/v1/{name}" for call in CALLS for name in (call, call[0]))]
POSTHOG_PATHS = ["/batch", "/capture", "/e", "/i/v0/e"]


def basic(text: str) -> dict[str, str]:
    """A Basic authorization header."""
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


HEADER_POSITIONS = {
    "basic": basic(f"{ADMIN_KEY}:"),
    "basic-without-colon": basic(ADMIN_KEY),
    "bearer": {"authorization": f"Bearer {ADMIN_KEY}"},
    "x-write-key": {"x-write-key": ADMIN_KEY},
}


def body_of(path: str, message_id: str) -> dict[str, Any]:
    """One event for this path, inside a batch where the path wants one."""
    if path in POSTHOG_PATHS:
        event = {**POSTHOG, "uuid": message_id}
        return {"batch": [event]} if path == "/batch" else event
    event = {**SEGMENT, "messageId": message_id}
    return {"batch": [{**event, "type": "track"}]} if path in BATCHES else event


def send_everywhere(service: IngestProcess) -> dict[str, str]:
    """Sends one event by each path with its key in each position; the paths by message id."""
    sent: dict[str, str] = {}
    with httpx.Client(base_url=service.url, timeout=15) as client:
        for path in SEGMENT_PATHS + POSTHOG_PATHS:
            fields = ("api_key", "token") if path in POSTHOG_PATHS else ("writeKey",)
            positions = {**HEADER_POSITIONS, **{f"body-{field}": {} for field in fields}}
            for slash in ("", "/"):
                for position, headers in positions.items():
                    message_id = f"{path}{slash} {position}"
                    body = body_of(path, message_id)
                    if position.startswith("body-"):
                        body[position.removeprefix("body-")] = ADMIN_KEY
                    answer = client.post(path + slash, content=json.dumps(body), headers=headers)
                    assert (answer.status_code, answer.json().get("accepted")) == (200, 1), (message_id, answer.text)
                    sent[message_id] = path
    return sent


async def test_every_path_takes_its_key_in_every_position(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """With a slash at the end or not, whatever the content type; and what was taken is on the topic."""
    sent = send_everywhere(service)
    events = {event.message_id: event for event in await events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")}
    assert sent.keys() <= events.keys()
    for message_id, path in sent.items():
        event = events[message_id]
        initial = path.rpartition("/")[2][0]
        single = path in SEGMENT_PATHS and path not in BATCHES
        assert event.type == next(call for call in CALLS if not single or call[0] == initial), message_id
        assert (event.account_id, event.user_id) == ("acme", "kim")
        assert event.occurred_at.isoformat() == "2026-11-20T10:00:00+00:00"
        assert ADMIN_KEY.encode() not in bytes(event.body)


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/t", "/batch", "/capture", "/v1/events", "/v1/commands"])
def test_two_different_keys_are_refused(service: IngestProcess, path: str) -> None:
    """Wherever the second one stands."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "x-write-key": "other"}
    bodies: list[tuple[dict[str, str], dict[str, Any]]] = [(headers, {})]
    field = {"/v1/batch": "writeKey", "/v1/t": "writeKey", "/batch": "api_key", "/capture": "api_key"}.get(path)
    if field:
        bodies.append((HEADER_POSITIONS["bearer"], {**body_of(path, "two-keys"), field: "other"}))
    for given, body in bodies:
        answer = httpx.post(service.url + path, json=body, headers=given)
        assert (answer.status_code, answer.json()["code"]) == (401, "keys_differ")


async def test_cloudevents_arrive_in_all_modes(service: IngestProcess, kafka_bootstrap: str, topic_prefix: str) -> None:
    """Binary without a content type too; a batch tells which of its events is wrong."""
    binary = {f"ce-{name}": value for name, value in {**CLOUD, "id": "binary"}.items()}
    post = service.post
    structured = {"content-type": "application/cloudevents+json"}
    batch = {"content-type": "application/cloudevents-batch+json"}
    assert post("/v1/events", b'{"rows":1}', headers={**binary, "content-type": ""}).status_code == 200
    assert post("/v1/events/", {**CLOUD, "id": "structured"}, headers=structured).status_code == 200
    events = [{**CLOUD, "id": "batched"}, {**CLOUD, "id": "bad", "specversion": "9"}]
    answer = post("/v1/events", events, headers=batch).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert (answer["errors"][0]["index"], answer["errors"][0]["message_id"]) == (1, "bad")
    stored = await events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    mine = {event.message_id: event for event in stored if event.event == "report.generated"}
    assert set(mine) == {"s#binary", "s#structured", "s#batched"}
    assert {event.account_id for event in mine.values()} == {"acme"}


@pytest.mark.parametrize(
    ("compress", "encoding"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, None),
        (zlib.compress, "deflate"),
    ],
    ids=["gzip", "gzip-unsaid", "deflate"],
)
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/t", "/batch", "/v1/events", "/v1/commands"])
def test_every_dialect_inflates(service: IngestProcess, path: str, compress: Any, encoding: str | None) -> None:
    """By the first bytes, also when a content type of a form is given, as the Node SDK of RudderStack does."""
    bodies = {
        "/v1/events": {**CLOUD, "id": f"inflated-{encoding}"},
        "/v1/commands": {"command": "resume", "account_id": "acme"},
    }
    body = compress(json.dumps(bodies.get(path) or body_of(path, f"inflated-{encoding}")).encode())
    headers = {"content-type": "application/x-www-form-urlencoded"}
    if encoding is not None:
        headers["content-encoding"] = encoding
    assert service.post(path, body, headers=headers).status_code == 200
    refused = service.post(path, body, headers={"content-encoding": "zstd"} if compress is zlib.compress else headers)
    assert refused.status_code == (415 if compress is zlib.compress else 200)


@pytest.mark.parametrize("path", [*SEGMENT_PATHS, *POSTHOG_PATHS, "/v1/events", "/v1/commands"])
def test_every_path_answers_a_preflight(service: IngestProcess, path: str) -> None:
    """With a slash at the end or not."""
    for slash in ("", "/"):
        assert httpx.options(service.url + path + slash).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        b'{"command":"resume","account_id":"acme"}',
        b'[{"command":"resume","account_id":"acme"}, {"command":"resume","account_id":"acme"}]',
        b'{"command":"resume","account_id":"acme"}\n{"command":"resume","account_id":"beta"}\r\n\n',
    ],
    ids=["object", "array", "lines"],
)
def test_commands_come_in_three_forms(service: IngestProcess, body: bytes) -> None:
    """One, an array, one on each line."""
    answer = service.post("/v1/commands", body)
    assert (answer.status_code, answer.json()["accepted"]) == (200, body.count(b"resume"))
