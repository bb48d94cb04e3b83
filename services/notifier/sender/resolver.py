"""Looks names up itself, so that what was vetted is what is connected to."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from services.notifier.domain.addresses import Address
from services.notifier.domain.endpoint_limit import remember

# An answer is used this long; the connection is made to the vetted address in any case.
CACHE_SECONDS = 10.0
# Each name whose servers are silent keeps a thread for as long as the system's resolver tries, 10 s and more. So names
# that were answered when last asked have threads of their own, as many as all others.
_LOOKUPS_AT_ONCE = 32

Lookup = Callable[[str], list[str]]


class NameUnresolved(OSError):
    """The name has no address now, or its servers did not answer in time."""


def look_up(host: str) -> list[str]:
    """Addresses of `host` by the system's resolver; the final dot keeps search domains out. Blocking."""
    answers = socket.getaddrinfo(f"{host}.", None, type=socket.SOCK_STREAM)
    return [str(answer[4][0]) for answer in answers]


class Resolver(AbstractResolver):
    """Addresses by name, one lookup per name at a time, each bounded in time."""

    def __init__(
        self, *, timeout_seconds: float, lookup: Lookup = look_up, cache_seconds: float = CACHE_SECONDS
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._lookup = lookup
        self._cache_seconds = cache_seconds
        self._cache: dict[str, tuple[float, list[Address]]] = {}
        self._running: dict[str, asyncio.Future[list[Address]]] = {}
        self._answering = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="dns")
        self._others = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="dns-other")

    async def addresses(self, host: str) -> list[Address]:
        """All addresses of `host`, A and AAAA; raises NameUnresolved."""
        cached = self._cache.get(host)
        if cached is not None and time.monotonic() - cached[0] < self._cache_seconds:
            return cached[1]
        running = self._running.get(host)
        if running is None:
            running = asyncio.ensure_future(self._ask(host))
            self._running[host] = running
            running.add_done_callback(lambda done: self._answered(host, done))
        # Shielded: one attempt's deadline must not cancel the lookup that others wait for.
        try:
            return await asyncio.wait_for(asyncio.shield(running), self._timeout_seconds)
        except TimeoutError:
            raise NameUnresolved(f"no answer within {self._timeout_seconds:g} s for {host}") from None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """What the HTTP client connects to; the connector vets each address again before it opens a socket."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self.addresses(host)
        ]

    async def close(self) -> None:
        """Forget what is still being looked up."""
        for threads in (self._answering, self._others):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, host: str) -> list[Address]:
        threads = self._answering if host in self._cache else self._others
        try:
            texts = await asyncio.get_running_loop().run_in_executor(threads, self._lookup, host)
        except (OSError, UnicodeError) as error:
            raise NameUnresolved(f"{host} has no address: {error}") from error
        return [ip_address(text) for text in dict.fromkeys(texts)]

    def _answered(self, host: str, done: asyncio.Future[list[Address]]) -> None:
        self._running.pop(host, None)
        if done.cancelled() or done.exception() is not None:
            self._cache.pop(host, None)
            return
        remember(self._cache, host, (time.monotonic(), done.result()))
