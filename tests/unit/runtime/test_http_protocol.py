"""Which clients are too slow or send too many headers, and what they are told: with a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from services.runtime.http_protocol import BoundedProtocol, ConnectionLimits

LIMITS = ConnectionLimits(header_seconds=10, body_seconds=30, idle_seconds=75)
HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"
ROOM = LIMITS.header_bytes_max
SHORT = b"ab: c\r\n"
# As Java's HttpClient writes it over http.
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\nUpgrade: h2c\r\n"


def head(*, headers: int = 1, size_bytes: int = 0, body_bytes: int = 0) -> bytes:
    """So many headers in so many bytes at least, as the protocol counts them: beside the verb and the version."""
    named = SHORT * (headers - 1) + b"content-length: %d\r\n" % body_bytes
    start, long = b"POST / HTTP/1.1\r\n", b"long: "
    counted = len(b"/") + len(named)
    if counted + len(long) + 2 > size_bytes:
        return start + named + b"\r\n"
    named = named.removeprefix(SHORT)
    return start + named + long + b"x" * (size_bytes - len(b"/") - len(named) - len(long) - 2) + b"\r\n\r\n"


class Loop:
    """The running loop with another clock."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Client:
    """A connection whose other side is this test, to an app that answers when `opened`, or before a body is whole."""

    def __init__(self, *, early: bool = False) -> None:
        self.loop = Loop()
        self.answered = b""
        self.closed = False
        self.opened = asyncio.Event()
        self.asked: list[Any] = []
        self.bodies: list[bytes] = []
        self._early = early
        config = uvicorn.Config(
            self._app, interface="asgi3", log_config=None, lifespan="off", ws="none", proxy_headers=False
        )
        config.load()
        loop: Any = self.loop
        self._protocol = BoundedProtocol(
            config=config, server_state=ServerState(), app_state={}, _loop=loop, limits=LIMITS
        )
        transport: Any = self
        self._protocol.connection_made(transport)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        body, more = b"", not self._early
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        await self.opened.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        while self._early and (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"k"})

    def get_extra_info(self, _: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.answered += data

    def close(self) -> None:
        if not self.closed:
            self.loop.call_soon(self._protocol.connection_lost, None)
        self.closed = True

    def pause_reading(self) -> None:
        """Nobody reads on meanwhile."""

    resume_reading = pause_reading

    async def send(self, data: bytes) -> None:
        """And let the app do all that it can."""
        self._protocol.data_received(data)
        await self.settle()

    async def settle(self) -> None:
        """Everybody has had several turns."""
        for _ in range(10):
            await asyncio.sleep(0)

    def passes(self, seconds: float) -> None:
        """So much later somebody looks at the connection."""
        self.loop.now += seconds
        self._protocol.end_if_slow()


@pytest.mark.parametrize(
    ("sent", "seconds", "told"),
    [
        (b"", 10, b""),
        (HEAD[:20], 10, b"408"),
        (HEAD, 30, b"408"),
        (HEAD + b"bo", 30, b"408"),
        (HEAD + b"body", 75, b"200"),
    ],
    ids=["nothing", "half_its_headers", "no_body", "half_its_body", "no_second_request"],
)
async def test_a_client_has_its_time_and_no_more(sent: bytes, seconds: float, told: bytes) -> None:
    """Who has sent nothing is told nothing; a request that is not whole is answered, and none twice."""
    client = Client()
    client.opened.set()
    await client.send(sent)
    client.passes(seconds - 1)
    assert not client.closed
    client.passes(1)
    assert client.closed
    assert client.answered[9:12] == told
    assert client.answered.count(b"HTTP/1.1") == bool(told)


async def test_a_client_waits_for_us_as_long_as_it_likes() -> None:
    """Its request is whole: it is our turn."""
    client = Client()
    await client.send(HEAD + b"body")
    client.passes(1_000)
    assert not client.closed
    client.opened.set()
    await client.settle()
    assert client.answered.endswith(b"ok")


async def test_an_answer_that_was_begun_is_followed_by_no_other() -> None:
    """Who is slow with a body that was answered before it was whole would take the second for the rest of the first."""
    client = Client(early=True)
    client.opened.set()
    await client.send(HEAD + b"bo")
    assert client.answered.endswith(b"o")
    client.passes(30)
    assert client.closed
    assert client.answered.count(b"HTTP/1.1") == 1


async def test_half_a_pipelined_request_is_not_late_while_we_are() -> None:
    """The one before comes first."""
    client = Client()
    await client.send(HEAD + b"body" + HEAD[:20])
    client.passes(1_000)
    assert not client.closed
    client.opened.set()
    await client.send(HEAD[20:] + b"body")
    assert client.answered.count(b"200 OK") == 2


async def test_the_rest_of_a_pipelined_request_has_its_time_from_the_answer_before() -> None:
    """Nothing of it was read before that."""
    client = Client()
    await client.send(HEAD + b"body" + HEAD + b"bo")
    client.passes(1_000)
    client.opened.set()
    await client.settle()
    client.passes(29)
    assert not client.closed
    await client.send(b"dy")
    assert client.answered.count(b"200 OK") == 2


@pytest.mark.parametrize(
    "sent",
    [
        [head(size_bytes=ROOM + 1)],
        [head(size_bytes=ROOM + 1)[:-1], b"\n"],
        [head(size_bytes=ROOM + 1, body_bytes=4) + b"body"],
        [head(size_bytes=2 * ROOM)[: ROOM + 1]],
        [head(headers=LIMITS.headers_max + 1)],
        [head(headers=LIMITS.headers_max + 2)[:-4]],
        [CHUNKED, *[b"long: " + b"x" * ROOM] * 2],
    ],
    ids=[
        "one_byte_too_much",
        "in_two_pieces",
        "with_a_body",
        "half",
        "one_too_many",
        "half_of_too_many",
        "trailers",
    ],
)
async def test_headers_are_bounded(sent: list[bytes]) -> None:
    """In bytes and in number, before anybody is asked: thousands of clients may hold them for as long as they like."""
    client = Client()
    for part in sent:
        await client.send(part)
    assert client.answered[9:12] == b"431"
    assert client.closed
    assert not [scope for scope in client.asked if len(scope["headers"]) > 2]


@pytest.mark.parametrize(
    "behind",
    [
        head(size_bytes=2 * ROOM)[: ROOM + 100],
        head(headers=LIMITS.headers_max + 2)[:-4],
        head(headers=LIMITS.headers_max + 1),
    ],
    ids=["too_large", "half_of_too_many", "too_many"],
)
async def test_what_refuses_a_request_is_no_answer_to_the_one_ahead_of_it(behind: bytes) -> None:
    """Which was valid, and would be lost as an invalid one; its client sends again what was not answered."""
    client = Client()
    await client.send(HEAD + b"body" + behind)
    assert (client.answered, client.closed) == (b"", True)


@pytest.mark.parametrize("cut", [ROOM // 2, -3 * ROOM, -1])
@pytest.mark.parametrize("headers", [2, LIMITS.headers_max])
async def test_headers_within_the_bounds_are_taken_with_any_body(headers: int, cut: int) -> None:
    """Which may come with them, in the same bytes; and so may the next request."""
    client = Client()
    client.opened.set()
    body = b"x" * (3 * ROOM)
    sent = head(headers=headers, size_bytes=ROOM - len("POST  HTTP/1.1\r\n\r\n"), body_bytes=len(body)) + body
    await client.send(sent[:cut])
    await client.send(sent[cut:] + sent[:ROOM])
    await client.send(sent[ROOM:])
    assert client.answered.count(b"200 OK") == 2
    assert [len(scope["headers"]) for scope in client.asked] == 2 * [headers]


@pytest.mark.parametrize("sent", [[b"x-real-ip: 1.2.3.4\r\n\r\n"], [b"x-real-ip: 1.2.3.4\r\na: b\r\n", b"\r\n"]])
async def test_trailers_are_no_headers(sent: list[bytes]) -> None:
    """A proxy that takes a header away may let it through behind the body."""
    client = Client()
    await client.send(CHUNKED + sent[0])
    assert [name for name, _ in client.asked[0]["headers"]] == [b"transfer-encoding"]
    client.opened.set()
    await client.send(b"".join(sent[1:]))
    assert client.answered.endswith(b"ok")
    assert [name for name, _ in client.asked[0]["headers"]] == [b"transfer-encoding"]


@pytest.mark.parametrize("bytes_at_once", [1, 7, 10_000])
@pytest.mark.parametrize(
    "framed", [b"content-length: 4\r\n\r\nbody", b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
async def test_a_protocol_that_is_offered_is_passed_over(framed: bytes, bytes_at_once: int) -> None:
    """The request has its body and its other headers, and so has the next on the connection."""
    client = Client()
    client.opened.set()
    sent = 2 * (b"POST /a?b=c HTTP/1.1\r\nhost: a\r\n" + OFFER + framed)
    for start in range(0, len(sent), bytes_at_once):
        await client.send(sent[start : start + bytes_at_once])
    assert client.bodies == 2 * [b"body"]
    assert client.answered.count(b"200 OK") == 2
    assert [(one["path"], one["query_string"], len(one["headers"])) for one in client.asked] == 2 * [("/a", b"b=c", 4)]


async def test_offers_in_a_row_are_passed_over() -> None:
    """As many as come in one packet."""
    client = Client()
    client.opened.set()
    await client.send(2_000 * (b"GET / HTTP/1.1\r\n" + OFFER.replace(b"AAEAAEAAAAIAAAAA", b"") + b"\r\n"))
    for _ in range(1_000):
        await client.settle()
    assert client.answered.count(b"200 OK") == 2_000


@pytest.mark.parametrize("offer", [b"Connection: close\r\n", b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"])
async def test_what_follows_the_last_request_does_not_cost_its_answer(offer: bytes) -> None:
    """With an offer as without one."""
    client = Client()
    client.opened.set()
    await client.send(HEAD.replace(b"host: a\r\n", offer) + b"body" + HEAD)
    assert client.answered.startswith(b"HTTP/1.1 200 OK")
    assert client.bodies == [b"body"]
