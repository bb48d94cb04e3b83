"""The private port: `/livez` touches no dependency, `/readyz` asks all of them, `/metrics` is for Prometheus."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.types import Receive, Scope, Send

Check = Callable[[], Awaitable[bool]]

_CHECK_TIMEOUT_SECONDS = 3.0
# A single slow answer of a dependency must not take a replica out of service.
_FAILURES_BEFORE_NOT_READY = 2
_HEARTBEAT_SECONDS_MAX = 60.0


class Health:
    """What the probes answer; `checks` are asked at most once in `cache_seconds`."""

    def __init__(self, *, checks: dict[str, Check], cache_seconds: float = 1.0) -> None:
        self._checks = checks
        self._cache_seconds = cache_seconds
        self._draining = False
        self._failures: dict[str, int] = dict.fromkeys(checks, _FAILURES_BEFORE_NOT_READY)
        self._checked_at = float("-inf")
        self._checking = asyncio.Lock()
        self._heartbeats: dict[str, float] = {}

    def drain(self) -> None:
        """Be not ready from now on."""
        self._draining = True

    def beat(self, worker: str) -> None:
        """A worker says that it is alive; silent for a minute, the process is no longer live."""
        self._heartbeats[worker] = time.monotonic()

    def live(self) -> dict[str, bool]:
        """Each worker that ever beat, and whether it still does."""
        now = time.monotonic()
        return {name: now - beaten < _HEARTBEAT_SECONDS_MAX for name, beaten in self._heartbeats.items()}

    async def ready(self) -> dict[str, bool]:
        """Each check by name; one counts as failed at its second failure in a row, or until its first success."""
        async with self._checking:
            if time.monotonic() - self._checked_at >= self._cache_seconds:
                await asyncio.gather(*(self._ask(name) for name in self._checks))
                self._checked_at = time.monotonic()
        passed = {name: count < _FAILURES_BEFORE_NOT_READY for name, count in self._failures.items()}
        return {**passed, "not_draining": not self._draining}

    async def _ask(self, name: str) -> None:
        try:
            passed = await asyncio.wait_for(self._checks[name](), _CHECK_TIMEOUT_SECONDS)
        except (TimeoutError, OSError):
            passed = False
        self._failures[name] = 0 if passed else self._failures[name] + 1


class PrivateApp:
    """ASGI app of the private port."""

    def __init__(self, health: Health, registry: CollectorRegistry) -> None:
        self._health = health
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/metrics":
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            encode, content_type = choose_encoder(accept)
            await _answer(send, 200, encode(self._registry), content_type)
        elif scope["path"] in ("/livez", "/readyz"):
            checks = self._health.live() if scope["path"] == "/livez" else await self._health.ready()
            passed = all(checks.values())
            body = json.dumps({"status": "ok" if passed else "failing", "checks": checks}).encode()
            await _answer(send, 200 if passed else 503, body, "application/json")
        else:
            body = b'{"code":"not_found","message":"Ask for /livez, /readyz or /metrics.","request_id":""}'
            await _answer(send, 404, body, "application/json")


async def _answer(send: Send, status: int, body: bytes, content_type: str) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
