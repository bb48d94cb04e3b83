"""A listener is one from the moment that it tells its port."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.runtime.health import Health, PrivateApp
from services.runtime.http_protocol import ConnectionLimits
from services.runtime.http_server import HttpServer


def test_whoever_is_told_the_port_can_connect_at_once() -> None:
    """Services log their ports before the event loop has turned."""
    server = HttpServer(PrivateApp(Health(checks={}), CollectorRegistry()), host="127.0.0.1", port=0)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        pass


def test_a_port_that_is_taken_says_so() -> None:
    """Also before the other's event loop has turned."""
    app = PrivateApp(Health(checks={}), CollectorRegistry())
    first = HttpServer(app, host="127.0.0.1", port=0)
    with pytest.raises(SystemExit, match="set another port"):
        HttpServer(app, host="127.0.0.1", port=first.port)


@pytest.mark.parametrize("late_body", [b"", b"12345"])
async def test_a_connection_that_is_not_used_again_ends(late_body: bytes) -> None:
    """Also when the client still had to send what was answered before it was whole."""
    app = PrivateApp(Health(checks={}), CollectorRegistry())
    server = HttpServer(app, host="127.0.0.1", port=0, limits=ConnectionLimits(idle_seconds=0.2))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(late_body))
        assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 200")
        writer.write(late_body)
        assert await reader.read() == b""
        writer.close()
        await server.stop()
    await serving


class Gated:
    """Answers /slow when `opened`, everything else at once, and never before a body is whole."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == "/slow":
            await self.opened.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    ("second", "rest"),
    [
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody", b""),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbo", b"dy"),
        (b"POST / HTTP/1.1\r\nhost: a\r\nconte", b"nt-length: 4\r\n\r\nbody"),
    ],
    ids=["whole", "without_all_of_its_body", "without_all_of_its_headers"],
)
async def test_a_pipelined_request_is_not_late_while_the_one_before_is_worked_on(second: bytes, rest: bytes) -> None:
    """Both are answered; then the connection is not used again and ends."""
    app = Gated()
    limits = ConnectionLimits(header_seconds=0.2, body_seconds=0.2, idle_seconds=0.4)
    server = HttpServer(app, host="127.0.0.1", port=0, limits=limits)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n" + second)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 3 * limits.body_seconds)
        app.opened.set()
        writer.write(rest)
        assert (await reader.read()).count(b"200 OK") == 2
        writer.close()
        await server.stop()
    await serving


async def test_a_connection_that_idles_does_not_hold_up_the_end() -> None:
    """It ends at once."""
    server = HttpServer(Gated(), host="127.0.0.1", port=0)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.readuntil(b"ok")
        stopping = asyncio.create_task(server.stop())
        assert await reader.read() == b""
        writer.close()
        await stopping
    await serving


@pytest.mark.parametrize("begun", [False, True], ids=["not_answered_yet", "half_answered"])
async def test_who_never_sends_the_rest_is_told_to_come_back_when_the_time_to_drain_is_over(
    begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As everywhere by a problem, if an answer was not begun; and it is no failure that anybody has to be told of."""

    asked = asyncio.Event()

    async def app(_: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    server = HttpServer(app, host="127.0.0.1", port=0, drain_seconds=0.2)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbo")
        await asked.wait()
        await server.stop()
        answer = await reader.read()
        writer.close()
    await serving
    assert not caplog.records
    head, _, body = answer.partition(b"\r\n\r\n")
    if begun:
        assert (head[:12], body) == (b"HTTP/1.1 200", b"")
    else:
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in head
        assert json.loads(body)["code"] == "draining"
