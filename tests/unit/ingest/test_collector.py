"""What a client is told when nothing can be taken: at once, whole, and when to come back."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from services.ingest.bodies import ClientGone
from services.ingest.collector import Collector
from services.ingest.delivery import BrokerUnavailable
from services.ingest.inflight import InFlight, Overloaded
from services.ingest.metrics import IngestMetrics


class Room:
    """A collector whose intake reads the body, holds it, and then fails with `error`."""

    def __init__(self, error: Exception | None = None, *, available: bool = True) -> None:
        self._error = error
        self.read = 0
        self.inflight = InFlight(bytes_max=1_000, requests_max=10)
        parts: dict[str, Any] = {
            "api": None,
            "ring": None,
            "intake": SimpleNamespace(take=self._take),
            "publisher": SimpleNamespace(available=available),
        }
        self.collector = Collector(**parts, inflight=self.inflight, metrics=IngestMetrics())

    async def _take(self, route: Any, headers: Any, query: bytes, receive: Any, hold: Any) -> Any:
        hold.grow(len((await receive())["body"]))
        hold.enter()
        assert self._error is not None, "nothing may be taken"
        raise self._error

    async def ask(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        """(status, headers, body) of a POST to /v1/track; (0, {}, {}) when nothing was answered."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            self.read += 1
            return {"type": "http.request", "body": b"{}"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/track", "query_string": b"", "headers": []}
        await self.collector(scope, receive, send)
        if not sent:
            return 0, {}, {}
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, json.loads(sent[1]["body"])


@pytest.mark.parametrize("why", ["draining", "broker_unavailable"])
async def test_what_cannot_be_taken_is_refused_before_it_is_read(why: str) -> None:
    """A replica that stops, and one whose broker is away, spend nothing on it."""
    room = Room(available=why == "draining")
    if why == "draining":
        room.collector.drain()
    status, headers, body = await room.ask()
    assert (status, body["code"], room.read) == (503, why, 0)
    assert int(headers["retry-after"]) >= 1
    assert body["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Overloaded(), 503, "overloaded"),
        (BrokerUnavailable("TimeoutError"), 503, "broker_unavailable"),
        (ZeroDivisionError(), 500, "internal_error"),
    ],
)
async def test_a_request_that_fails_holds_nothing_afterwards(error: Exception, status: int, code: str) -> None:
    """Too much in memory, Kafka not confirming in time, and what nobody expected."""
    room = Room(error)
    answered, headers, body = await room.ask()
    assert (answered, body["code"]) == (status, code)
    assert body.keys() == {"code", "message", "request_id"}
    assert ("retry-after" in headers) == (status == 503)
    assert (room.inflight.held_bytes, room.inflight.requests) == (0, 0)


async def test_a_client_that_went_away_is_told_nothing() -> None:
    """And what was held for it is given back."""
    room = Room(ClientGone())
    assert (await room.ask())[0] == 0
    assert (room.inflight.held_bytes, room.inflight.requests) == (0, 0)


async def test_those_who_were_refused_together_do_not_come_back_together() -> None:
    """The time to wait is drawn for each."""
    room = Room(Overloaded())
    waits = {(await room.ask())[1]["retry-after"] for _ in range(50)}
    assert len(waits) > 1
