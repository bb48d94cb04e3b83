"""HTTP listeners inside a service's own event loop: uvicorn without its signal handling, which the process owns."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from services.runtime.http_protocol import BoundedProtocol, ConnectionLimits

# Connections that wait to be accepted.
_BACKLOG = 2048


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """One listener; `serve()` is a worker that returns after `stop()` and the end of requests under way."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        drain_seconds: float = 20,
        limits: ConnectionLimits | None = None,
    ) -> None:
        self._socket = _bind(host, port)
        self._limits = limits or ConnectionLimits()
        self._drain_seconds = drain_seconds
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                loop="none",
                # A partial, because uvicorn makes the protocol itself and knows nothing of our limits.
                http=functools.partial(BoundedProtocol, limits=self._limits),  # type: ignore[arg-type]
                ws="none",
                proxy_headers=False,
                server_header=False,
                date_header=False,
                # What then goes on is cancelled, and answered 500 where nothing was answered.
                timeout_graceful_shutdown=math.ceil(drain_seconds) + 1,
                backlog=_BACKLOG,
            )
        )
        self._ended = asyncio.Event()

    @property
    def port(self) -> int:
        """The bound TCP port, also when 0 was asked for."""
        return int(self._socket.getsockname()[1])

    async def serve(self) -> None:
        """Accept requests until `stop`."""
        sweep = asyncio.create_task(self._sweep(), name="slow-clients")
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            sweep.cancel()
            self._ended.set()

    async def stop(self) -> None:
        """Accept nothing new, finish what is under way, return when that is done; clients that are not done by the end
        of the drain are told to come back."""
        self._server.should_exit = True
        try:
            await asyncio.wait_for(self._ended.wait(), self._drain_seconds)
        except TimeoutError:
            for protocol in self._connections():
                protocol.end_for_good()
            await self._ended.wait()

    async def _sweep(self) -> None:
        """One look at all connections now and then is cheaper than a timer for each request."""
        while True:
            await asyncio.sleep(self._limits.sweep_seconds)
            for protocol in self._connections():
                protocol.end_if_slow()

    def _connections(self) -> list[BoundedProtocol]:
        return [one for one in self._server.server_state.connections if isinstance(one, BoundedProtocol)]


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # At once, so that whoever is told the port can connect before the first turn of the event loop.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SystemExit(f"Cannot listen on {host}:{port} ({error.strerror}); set another port.") from error
    listener.set_inheritable(True)
    return listener
