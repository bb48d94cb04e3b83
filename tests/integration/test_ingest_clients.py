"""Clients as they are: the published Segment SDK, slow ones, and too many of them."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from segment.analytics.client import Client

from tests.integration.ingest_process import ADMIN_KEY, IngestProcess, end, launch
from tests.integration.topic_reader import events_of
from tests.waiting import wait_until

TRACK: dict[str, Any] = {"event": "Report Generated", "userId": "u-1", "context": {"groupId": "acme"}}
CONNECTIONS_MAX = 250


# Impatient with slow clients.
SETTINGS = {
    "ingest_header_seconds": 3,
    "ingest_body_seconds": 3,
    "ingest_connections_max": CONNECTIONS_MAX,
    "ingest_requests_max": 20,
}


@pytest.mark.parametrize("compressed", [False, True])
async def test_the_segment_sdk_works_unmodified(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str, compressed: bool
) -> None:
    """Events arrive with the right account, time and id; the SDK sees no error."""
    errors: list[Any] = []
    client = Client(
        ADMIN_KEY, host=service.url, gzip=compressed, upload_interval=0.05, on_error=lambda *error: errors.append(error)
    )
    at = datetime.now(UTC) - timedelta(hours=2)
    account, user = f"sdk-{compressed}", f"kim-{compressed}"
    context = {"groupId": account}
    client.group(user, account, {"segment": "smb", "city": "Köln"})
    client.identify(user, {"role": "champion", "email": "kim@acme.example"}, context=context)
    for number in range(20):
        client.track(
            user,
            "Report Generated",
            {"rows": number},
            context=dict(context),
            timestamp=at,
            message_id=f"{account}-{number}",
        )
    client.page(user, "docs", "Start", context=dict(context))
    client.track(user, "No Account Named", {}, message_id=f"{account}-learned")
    client.shutdown()
    assert errors == []
    events = await events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    mine = [event for event in events if event.account_id == account]
    assert sorted(event.type for event in mine) == ["group", "identify", "page"] + ["track"] * 21
    tracks = [event for event in mine if event.type == "track"]
    assert {event.message_id for event in tracks} == {f"{account}-{number}" for number in (*range(20), "learned")}
    dated = [event for event in tracks if event.event == "Report Generated"]
    assert {event.occurred_at for event in dated} == {at.replace(microsecond=at.microsecond // 1000 * 1000)}
    assert {event.user_id for event in mine} == {user}
    assert [event.role for event in mine if event.type == "identify"] == ["champion"]
    assert "Köln" in json.loads(bytes(next(event for event in mine if event.type == "group").body))["traits"]["city"]
    assert all(ADMIN_KEY.encode() not in bytes(event.body) for event in mine)


def connect(service: IngestProcess) -> socket.socket:
    """A bare connection."""
    address = urlsplit(service.url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10)


def answer_on(connection: socket.socket) -> bytes:
    """Everything until the service closes."""
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"POST /v1/track HTTP/1.1\r\nhost: x\r\n", b"408", b"request_too_slow"),
        (b"POST /v1/track HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{", b"408", b"request_too_slow"),
        (b"POST /v1/track HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 70_000, b"431", b"headers_too_large"),
        (
            b"POST /v1/track HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 12_000,
            b"431",
            b"headers_too_large",
        ),
        (b"\x16\x03\x01 this is no HTTP\r\n\r\n", b"400", b"http_invalid"),
    ],
)
def test_requests_that_do_not_end_are_ended(service: IngestProcess, sent: bytes, status: bytes, code: bytes) -> None:
    """With an answer in the one shape, and a closed connection."""
    with connect(service) as connection:
        connection.sendall(sent)
        head, _, body = answer_on(connection).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert json.loads(body)["code"] == code.decode()


def test_slow_clients_do_not_slow_others(service: IngestProcess) -> None:
    """Hundreds of half-sent requests; a good one is answered within a second, and the slow ones end."""
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(service)) for _ in range(CONNECTIONS_MAX - 20)]
        for number, connection in enumerate(slow):
            half = b"POST /v1/batch HTTP/1.1\r\nhost: x\r\n" + (b"content-length: 9999\r\n\r\n{" if number % 2 else b"")
            connection.sendall(half)
        began = time.monotonic()
        assert service.post("/v1/track", TRACK).status_code == 200
        assert time.monotonic() - began < 1
        assert all(b"408" in answer_on(connection)[:20] for connection in slow)


def test_a_half_sent_body_does_not_spoil_a_stop(service: IngestProcess, tmp_path: Path) -> None:
    """It is cut off early enough for the rest of the drain to be done."""
    other = launch(
        {**service.environment, "FIRSTVALUE_DRAIN_SECONDS": "4", "FIRSTVALUE_INGEST_BODY_SECONDS": "30"}, tmp_path
    )
    other.wait_ready()
    with connect(other) as slow:
        slow.sendall(b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n{")
        assert other.post("/v1/track", TRACK).status_code == 200
        assert end(other) == 0
    assert "drain_cut_short" not in [line["event"] for line in other.logged()]


def test_connections_beyond_the_limit_are_told_so(service: IngestProcess) -> None:
    """503 in the one shape; as soon as others leave, everything is as before."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS_MAX):
            stack.enter_context(connect(service))
        extra = stack.enter_context(connect(service))
        assert b"too_many_connections" in answer_on(extra)
    wait_until(lambda: service.post("/v1/track", TRACK).status_code == 200, timeout_seconds=5)
