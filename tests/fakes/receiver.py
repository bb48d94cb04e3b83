"""A webhook receiver on a raw socket, so that it can misbehave in every way that HTTP libraries prevent."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from standardwebhooks.webhooks import Webhook

from tests.waiting import TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class Received:
    """One complete request; header names are lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


Behaviour = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes = b"ok", *, headers: str = "", close: bool = False) -> Behaviour:
    """A well-formed answer; `headers` are further lines that end with CRLF."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> None:
        connection = "connection: close\r\n" if close else ""
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{connection}{headers}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return behave


def raw(data: bytes) -> Behaviour:
    """Exactly these bytes, then the end of the connection."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return behave


async def silent(_request: Received, _writer: asyncio.StreamWriter) -> None:
    """Reads the request and never answers."""
    await asyncio.Event().wait()


async def reset(_request: Received, writer: asyncio.StreamWriter) -> None:
    """Ends the connection after the request, without a byte of an answer."""
    writer.transport.abort()


async def drip(_request: Received, writer: asyncio.StreamWriter) -> None:
    """Promises a body and sends it byte by byte, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(_request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers 200 and a body that never ends, as fast as it is read."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        await writer.drain()


def repeating(begin: bytes, part: bytes) -> Behaviour:
    """`begin`, and then `part` without an end, as fast as it is read."""

    async def behave(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(part)
            await writer.drain()
            # Draining an empty buffer does not give the loop away.
            await asyncio.sleep(0)

    return behave


@dataclass(slots=True)
class Receiver:
    """Listens on 127.0.0.1; answers 200 unless `script` (used up first) or `behaviour` says otherwise."""

    behaviour: Behaviour = field(default_factory=lambda: answer(200))
    script: list[Behaviour] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    peak_at_once: int = 0
    tls: ssl.SSLContext | None = None
    _at_once: int = 0
    _connections: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def url(self, path: str = "/hook") -> str:
        """What to register as an endpoint."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def wait_for(self, count: int, *, seconds: float = TIMEOUT_SECONDS) -> list[Received]:
        """All requests once there are `count`; fails after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.received) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{len(self.received)} of {count} requests after {seconds} s") from None
        return self.received

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._connections += 1
        number = self._connections
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                await self._answer_one(reader, writer, number)
        writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(head[0].split(" ")[1], headers, body, number)
        self._at_once += 1
        self.peak_at_once = max(self.peak_at_once, self._at_once)
        self.received.append(request)
        self._changed.set()
        try:
            await (self.script.pop(0) if self.script else self.behaviour)(request, writer)
        finally:
            self._at_once -= 1


def verify(request: Received, secret: str) -> None:
    """The published verifier's judgement on a request; raises its WebhookVerificationError."""
    Webhook(secret).verify(request.body, request.headers)
