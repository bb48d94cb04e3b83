"""What a request is held to: limits that are accepted can be used, and its time is that at which it began."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from services.ingest.bodies import ClientGone
from services.ingest.delivery import BrokerUnavailable, Delivery
from services.ingest.events import BodyInvalid
from services.ingest.inflight import Hold, InFlight, Overloaded
from services.ingest.intake import Intake, Limits, Outcome
from services.ingest.metrics import IngestMetrics
from services.ingest.processing import Processed
from services.ingest.records import Arrival
from services.ingest.routes import ROUTE_BY_PATH
from services.ingest.settings import IngestSettings
from services.ingest.sources import OwnLimits, Quota, SourceRules, Sources, encode_rules
from services.runtime.access import Principal, Scope
from services.runtime.problems import Problem
from services.runtime.settings import settings_advice

MIB = 1_048_576
KEY = {b"x-write-key": b"k"}


@pytest.mark.parametrize("given", [{"body_bytes_max": 22 * MIB}, {"inflight_bytes_max": 14 * MIB}])
def test_a_greatest_body_that_could_never_be_held_is_refused(given: dict[str, int]) -> None:
    """By the name of the setting, before anything starts."""
    with pytest.raises(ValidationError) as refused:
        IngestSettings(**given)  # type: ignore[arg-type]
    assert "inflight_bytes_max" in settings_advice(refused.value)
    assert "3 times body_bytes_max" in settings_advice(refused.value)


class Room:
    """An intake that knows one key, up to where the body was read."""

    def __init__(self, *, inflight_bytes_max: int, own_bytes_max: int, origins: frozenset[str] = frozenset()) -> None:
        settings = IngestSettings(body_bytes_max=MIB, inflight_bytes_max=inflight_bytes_max)
        quota = Quota(events_per_second=1, burst_seconds=1)
        rules = encode_rules(SourceRules(quota, OwnLimits(body_bytes_max=own_bytes_max))).decode()
        sender = Principal("k", "k", frozenset({Scope.EVENTS_WRITE, Scope.ACCOUNTS_WRITE}), origins, rules)
        limits = Limits(
            body_bytes_max=settings.body_bytes_max,
            key_body_bytes_max=settings.key_body_bytes_max,
            event_bytes_max=settings.event_bytes_max,
            events_max=settings.events_max,
        )
        parts: dict[str, Any] = dict.fromkeys(("publisher", "processor", "people", "ticker"))
        parts["ring"] = SimpleNamespace(known=lambda _: sender)
        self.inflight = InFlight(bytes_max=inflight_bytes_max, requests_max=10)
        self.unfinished_bytes = 0
        self.intake = Intake(
            **parts,
            metrics=IngestMetrics(),
            limits=limits,
            sources=Sources(secret="s"),
            group_types=(),
            events_topic="events",
        )

    async def held_bytes(self, body: bytes, path: str = "/v1/batch") -> int:
        """What a whole request holds when its events are about to be read."""
        seen: list[int] = []

        async def process(*_: Any) -> None:
            seen.append(self.inflight.held_bytes)
            raise ClientGone

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        self.intake._processor = SimpleNamespace(process=process)  # type: ignore[assignment]
        with pytest.raises(ClientGone):
            await self.intake.take(ROUTE_BY_PATH[path], KEY, b"", receive, Hold(self.inflight))
        return seen[0]

    async def publish(self, path: str, refused: type[Exception] | None) -> Outcome:
        """A request of twenty events, whose records are refused so."""

        async def process(*_: Any) -> Processed:
            return Processed({}, resolved=20)

        def put(_: Any) -> Any:
            delivery = Delivery()
            if refused is Overloaded:
                raise refused
            delivery.expect(1)
            if refused is None:
                delivery.acked("events", 0, 20)
            else:
                delivery.failed(BrokerUnavailable("no answer"))
            return delivery

        async def receive() -> Any:
            items = b"[%b]" % b",".join([b'{"command":"close","account_id":"acme"}'] * 20)
            return {"type": "http.request", "body": items if path == "/v1/commands" else b'{"batch":%b}' % items}

        self.intake._processor = SimpleNamespace(process=process)  # type: ignore[assignment]
        self.intake._publisher = SimpleNamespace(put=put)  # type: ignore[assignment]
        return await self.intake.take(ROUTE_BY_PATH[path], KEY, b"", receive, Hold(self.inflight))

    async def take(self, headers: dict[bytes, bytes]) -> None:
        """A request to /v1/batch, whose client goes away in the middle of its body."""

        async def receive() -> Any:
            self.unfinished_bytes = self.inflight.unfinished_bytes
            gone = self.inflight.held_bytes > 0
            return {"type": "http.disconnect" if gone else "http.request", "body": b"x" * 100, "more_body": True}

        await self.intake.take(ROUTE_BY_PATH["/v1/batch"], headers, b"", receive, Hold(self.inflight))


async def test_a_keys_own_body_limit_is_no_greater_than_what_can_be_held() -> None:
    """Else its batches were answered 503, come back later, for ever."""
    room = Room(inflight_bytes_max=12 * MIB, own_bytes_max=20 * MIB)
    headers = {**KEY, b"content-length": str(5 * MIB).encode()}
    with pytest.raises(BodyInvalid) as refused:
        await room.take(headers)
    assert (refused.value.status, str(4 * MIB) in refused.value.message) == (413, True)


@pytest.mark.parametrize(
    ("headers", "origins", "unfinished"),
    [
        (KEY, frozenset(), 0),
        (KEY, frozenset({"https://a.example"}), 100),
        ({}, frozenset(), 100),
    ],
    ids=["server", "browser", "nobody"],
)
async def test_only_the_key_of_a_server_opens_the_whole_room(
    headers: dict[bytes, bytes], origins: frozenset[str], unfinished: int
) -> None:
    """Everybody can see the key of a browser."""
    room = Room(inflight_bytes_max=12 * MIB, own_bytes_max=MIB, origins=origins)
    with pytest.raises(ClientGone):
        await room.take(headers)
    assert room.unfinished_bytes == unfinished


async def test_what_a_batch_says_about_all_is_held_once_for_each() -> None:
    """Else thirty small requests, each with much context and a thousand events, would fill the memory."""
    room = Room(inflight_bytes_max=12 * MIB, own_bytes_max=MIB)
    context = b'{"x":"%b"}' % (b"y" * 1_000)
    body = b'{"batch":[%b],"context":%b}' % (b",".join([b"{}"] * 500), context)
    assert await room.held_bytes(body) == len(body) + 500 * len(context)


async def test_what_is_not_held_costs_no_quota() -> None:
    """It is answered 503 and comes again."""
    room = Room(inflight_bytes_max=12 * MIB, own_bytes_max=MIB)
    room.inflight.reserve(11 * MIB + MIB // 2)
    context = b'{"x":"%b"}' % (b"y" * 30_000)
    with pytest.raises(Overloaded):
        await room.held_bytes(b'{"batch":[%b],"context":%b}' % (b",".join([b"{}"] * 20), context))
    await room.held_bytes(b'{"batch":[{}]}')


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/commands"])
@pytest.mark.parametrize("refused", [Overloaded, BrokerUnavailable])
async def test_what_is_not_taken_in_costs_no_quota(refused: type[Exception], path: str) -> None:
    """Before Kafka or by it: who comes again has not paid for it; who was taken in has."""
    room = Room(inflight_bytes_max=12 * MIB, own_bytes_max=MIB)
    for _ in range(2):
        with pytest.raises(refused):
            await room.publish(path, refused)
    assert (await room.publish(path, None)).accepted == 20
    with pytest.raises(Problem) as problem:
        await room.publish(path, None)
    assert problem.value.status == 429


async def test_an_event_came_when_its_request_began() -> None:
    """Not when a slow body was whole: a clock that is right would look as if it were behind."""
    room = Room(inflight_bytes_max=12 * MIB, own_bytes_max=MIB)
    seen: list[datetime] = []

    async def receive() -> Any:
        seen.append(datetime.now(UTC))
        return {"type": "http.request", "body": b'{"batch":[{}]}'}

    async def process(_: Any, arrival: Arrival, __: Any) -> None:
        seen.append(arrival.received_at)
        raise ClientGone

    room.intake._processor = SimpleNamespace(process=process)  # type: ignore[assignment]
    with pytest.raises(ClientGone):
        await room.intake.take(ROUTE_BY_PATH["/v1/batch"], KEY, b"", receive, Hold(room.inflight))
    body_at, received_at = seen
    assert received_at < body_at


async def test_who_asked_to_change_accounts_is_logged() -> None:
    """As for every other API; events are too many, and no changes."""
    room = Room(inflight_bytes_max=12 * MIB, own_bytes_max=MIB)
    with capture_logs() as lines:
        await room.held_bytes(b'{"command": "close", "account_id": "acme"}', "/v1/commands")
    (line,) = lines
    assert {name: line[name] for name in ("event", "method", "route", "key")} == {
        "event": "change_asked",
        "method": "POST",
        "route": "/v1/commands",
        "key": "k",
    }
