"""A listener is one from the moment that it tells its port."""

from __future__ import annotations

import asyncio
import socket

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
