"""A load generator for one HTTP route of one or more ports: `python -m tests.bench.load`, settings on stdin.

A process of its own, with raw sockets, because a client library would cost more than the service that is measured.
A body that holds NOW gets the nanoseconds of the moment in which it is sent instead.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any, cast

import uvloop

# As long as the nanoseconds since 1970 are, so that a body keeps its length.
NOW = "NANOSECONDS-OF-NOW-"
_NOW = NOW.encode()
_HEAD_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent on it."""
        return not self._transport.is_closing()

    def close(self) -> None:
        """Send nothing more."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Complete the answer once head and body are there."""
        self._received += data
        head, found, body = self._received.partition(_HEAD_END)
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length and self._answer is not None:
            self._received = b""
            self._answer.set_result(int(head[9:12]))
            self._answer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that does not come has the status 0."""
        if self._answer is not None:
            self._answer.set_result(0)

    async def ask(self, request: bytes) -> int:
        """Send one request; the status of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


async def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Requests for `seconds` over `connections`; at `rate_per_s` if given, else one after the other. A service that is
    slower than the rate is sent as many, in more time."""
    requests = [_request(settings, body.encode()) for body in settings["bodies"]]
    loop = asyncio.get_running_loop()
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    cpu_began, began = time.process_time(), time.perf_counter()
    until = began + settings["seconds"]
    rate = settings.get("rate_per_s")

    async def client(number: int) -> None:
        port = settings["ports"][number % len(settings["ports"])]
        _, connection = await loop.create_connection(Connection, settings["host"], port)
        count, turn = settings["connections"], number
        while True:
            started = began + turn / rate if rate else time.perf_counter()
            if started >= until:
                return
            if started > time.perf_counter():
                await asyncio.sleep(started - time.perf_counter())
            # With a rate, time spent waiting for the connection counts: a slow service cannot hide by slowing us.
            status = await connection.ask(requests[turn % len(requests)].replace(_NOW, b"%d" % time.time_ns()))
            if status == 0:
                return
            latencies.append(time.perf_counter() - started)
            statuses[status] += 1
            turn += count

    await asyncio.gather(*(client(number) for number in range(settings["connections"])))
    latencies.sort()
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu_began,
        "requests": len(latencies),
        "statuses": dict(statuses),
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[len(latencies) * 99 // 100],
    }


def _request(settings: dict[str, Any], body: bytes) -> bytes:
    head = (
        f"POST {settings['path']} HTTP/1.1\r\nhost: {settings['host']}\r\nauthorization: Bearer {settings['key']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(json.load(sys.stdin)))))
