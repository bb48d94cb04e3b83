"""What stands before a real ingest and fails once: one port for each SDK and trouble, and the page of browser SDKs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from aiohttp import ClientSession, DummyCookieJar, web

RETRY_AFTER_SECONDS = 3
# As ingest answers them; the codes are examples.
_CODES = {400: "body_not_json", 401: "key_unknown", 413: "body_too_large", 429: "quota_exceeded", 503: "draining"}
TROUBLES = ("none", "400", "401", "413", "429", "503", "hung", "closed")
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
_HANG_SECONDS = 60


@dataclass
class Door:
    """One port: its trouble, which only the first sending meets, and the times at which something was sent."""

    trouble: str
    port: int = 0
    sent_at: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where SDKs are pointed."""
        return f"http://127.0.0.1:{self.port}"


class Front:
    """All doors of a test and what is behind them."""

    def __init__(self, ingest_url: str, doors: dict[str, Door], pages: dict[str, Path]) -> None:
        self._ingest_url = ingest_url
        self.doors = doors
        self._pages = pages
        self._by_port: dict[int, Door] = {}
        self.page_port = 0

    async def serve(self, ready: Future[None], until: asyncio.Event) -> None:
        """Listen until told to stop."""
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, auto_decompress=False)
        await runner.setup()
        async with ClientSession(auto_decompress=False, cookie_jar=DummyCookieJar()) as self._session:
            for door in self.doors.values():
                door.port = await self._listen(runner)
                self._by_port[door.port] = door
            self.page_port = await self._listen(runner)
            ready.set_result(None)
            await until.wait()
        await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> int:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[-1][1])

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        door = self._by_port.get(request.transport.get_extra_info("sockname")[1])
        if door is None:
            return self._page(request)
        body = await request.read()
        if request.method != "POST":
            return await self._forward(request, body)
        door.sent_at.append(time.monotonic())
        door.bodies.append((request.path, body))
        response = await self._troubled(request, body, door)
        door.statuses.append(response.status)
        return response

    async def _troubled(self, request: web.Request, body: bytes, door: Door) -> web.StreamResponse:
        if door.trouble == "none" or len(door.sent_at) > 1:
            return await self._forward(request, body)
        if door.trouble == "closed":
            assert request.transport is not None
            request.transport.close()
            return web.Response(status=499)
        if door.trouble == "hung":
            await asyncio.sleep(_HANG_SECONDS)
            return web.Response(status=504)
        status = int(door.trouble)
        headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if status in (429, 503) else {}
        if origin := request.headers.get("origin"):
            headers |= {"access-control-allow-origin": origin, "access-control-expose-headers": "retry-after"}
        problem = {"code": _CODES[status], "message": "Made up for a test.", "request_id": "r"}
        return web.json_response(problem, status=status, headers=headers)

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        url = self._ingest_url + request.path_qs
        async with self._session.request(request.method, url, headers=headers, data=body) as answer:
            given = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP]
            return web.Response(status=answer.status, body=await answer.read(), headers=given)

    def _page(self, request: web.Request) -> web.StreamResponse:
        """`/<sdk>/` is an empty page with its bundle, whose own files lie beside it."""
        sdk, _, file = request.path.lstrip("/").partition("/")
        bundle = self._pages.get(sdk)
        if bundle is None:
            return web.Response(status=404)
        if file and (bundle.parent / Path(file).name).exists():
            return web.FileResponse(bundle.parent / Path(file).name)
        return web.Response(text=f'<!doctype html><script src="{bundle.name}"></script>', content_type="text/html")


@contextmanager
def running_front(ingest_url: str, doors: dict[str, Door], pages: dict[str, Path]) -> Iterator[Front]:
    """A front in a thread of its own."""
    front, ready, until = Front(ingest_url, doors, pages), Future[None](), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = Thread(target=lambda: loop.run_until_complete(front.serve(ready, until)), name="front")
    thread.start()
    try:
        ready.result(20)
        yield front
    finally:
        loop.call_soon_threadsafe(until.set)
        thread.join(20)
        loop.close()


def problems_of(door: Door) -> Any:
    """For messages of failed assertions."""
    return json.dumps({"trouble": door.trouble, "statuses": door.statuses, "paths": [path for path, _ in door.bodies]})
