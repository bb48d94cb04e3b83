"""Bodies of admin requests: what all of them together may hold in memory before anybody is asked for a key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from services.runtime import body_limit
from services.runtime.body_limit import BodyLimit

SCOPE: Scope = {"type": "http", "method": "POST", "path": "/v1/keys", "headers": []}


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    message = await receive()
    await send({"type": "http.response.start", "status": len(message["body"]), "headers": []})


class Client:
    """Sends a body in two pieces, the second when told to."""

    def __init__(self, size_bytes: int) -> None:
        self._pieces: list[Message] = [
            {"type": "http.request", "body": b" " * size_bytes, "more_body": True},
            {"type": "http.request", "body": b"", "more_body": False},
        ]
        self.goes_on = asyncio.Event()
        self.told: list[Any] = []

    async def receive(self) -> Message:
        if len(self._pieces) == 1:
            await self.goes_on.wait()
        return self._pieces.pop(0)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.told.append(message["status"])

    async def ask(self, app: BodyLimit) -> list[Any]:
        """The status of the answer."""
        await app(SCOPE, self.receive, self.send)
        return self.told


async def test_slow_bodies_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is asked to come back, and what ends makes room."""
    monkeypatch.setattr(body_limit, "BODIES_BYTES_MAX", 1_000)
    app, slow, other = BodyLimit(echo), Client(600), Client(600)
    waiting = asyncio.create_task(slow.ask(app))
    await asyncio.sleep(0)
    assert await other.ask(app) == [503]
    slow.goes_on.set()
    assert await waiting == [600]
    last = Client(1_000)
    last.goes_on.set()
    assert await last.ask(app) == [1_000]
