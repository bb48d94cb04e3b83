"""A receiver that costs little: answers every POST with 204 and knows how long each signal was on its way.

`python -m tests.bench.receiver PORT`. A signal's account name is the time of its production in nanoseconds.
`GET /latencies` answers and forgets the milliseconds from there to here, `GET /peak` the most requests to `/slow` that
were unanswered at once. `/slow` is answered after 5 ms, `/hang` never; `/quiet` counts no latency.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import cast

import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_SENT = re.compile(rb'"name":"(\d{16,20})"')
_SLOW_SECONDS = 0.005
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver(asyncio.Protocol):
    """One connection."""

    latencies_ms: list[float] = []  # noqa: RUF012 - shared by all connections on purpose
    slow_now = slow_peak = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with an empty buffer."""
        # Not asserted: uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < total:
                return
            body, self._buffer = self._buffer[end + 4 : total], self._buffer[total:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._report(head)
            return
        if head.startswith(b"POST /hang"):
            return
        if head.startswith(b"POST /slow"):
            Receiver.slow_now += 1
            Receiver.slow_peak = max(Receiver.slow_peak, Receiver.slow_now)
            asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._answer_slowly)
            return
        sent = None if head.startswith(b"POST /quiet") else _SENT.search(body)
        if sent:
            self.latencies_ms.append((time.time_ns() - int(sent[1])) / 1e6)
        self._transport.write(_NO_CONTENT)

    def _answer_slowly(self) -> None:
        Receiver.slow_now -= 1
        self._transport.write(_NO_CONTENT)

    def _report(self, head: bytes) -> None:
        if head.startswith(b"GET /peak"):
            answer, Receiver.slow_peak = json.dumps(Receiver.slow_peak).encode(), 0
        else:
            answer = json.dumps(self.latencies_ms).encode()
            self.latencies_ms.clear()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))


async def serve(port: int) -> None:
    """Listen until killed."""
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
