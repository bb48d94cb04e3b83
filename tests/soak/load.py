"""Load whose client remembers what was acknowledged: batches at a steady rate, whether or not the last was answered."""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.bench.load import Connection

EVENTS_PER_BATCH = 100
# The batch of tests.soak.people; those of the load come after it.
PEOPLE_NUMBER = 0
# More than ingest works on at once: what it does with those beyond is part of what is looked at.
_UNDER_WAY_MAX = 2_000
_PATIENCE_SECONDS = 20.0
# A connection that waits for longer is not used again: ingest ends it after 75 s, and what is sent then gets no answer.
_IDLE_SECONDS_MAX = 60.0
_NUMBER = "NUMBER"


class Span(NamedTuple):
    """What was answered in some time: how often which status, the longest wait, and how long those that got no answer
    had waited."""

    statuses: Counter[int]
    longest_seconds: float
    unanswered_seconds: list[float]


class Answers:
    """Every answer by the time (monotonic) at which it came; a connection that ended without one has the status 0."""

    def __init__(self) -> None:
        self.acked: set[int] = set()
        self._at = array("d")
        self._status = array("H")
        self._seconds = array("d")

    def add(self, number: int, status: int, began: float) -> None:
        """The answer to batch `number`, now."""
        now = time.monotonic()
        if status == 200:
            self.acked.add(number)
        self._at.append(now)
        self._status.append(status)
        self._seconds.append(now - began)

    def between(self, since: float, until: float) -> Span:
        """What came in that time."""
        span = slice(bisect_left(self._at, since), bisect_left(self._at, until))
        statuses, seconds = self._status[span], self._seconds[span]
        unanswered = [waited for status, waited in zip(statuses, seconds, strict=True) if status == 0]
        return Span(Counter(statuses), max(seconds, default=0.0), unanswered)

    def last_other(self, status: int, since: float) -> float | None:
        """When anything but this status came for the last time, from `since` on."""
        for place in range(len(self._at) - 1, bisect_left(self._at, since) - 1, -1):
            if self._status[place] != status:
                return self._at[place]
        return None

    def first(self, status: int, since: float) -> float | None:
        """When this status came for the first time from `since` on."""
        for place in range(bisect_left(self._at, since), len(self._at)):
            if self._status[place] == status:
                return self._at[place]
        return None


class Load:
    """Sends to one route; a batch is known by its number, an event by that and its place: `17-3`."""

    def __init__(self, url: str, key: str) -> None:
        self.answers = Answers()
        self.rate_per_s = 0.0
        # The most by which a batch was sent too late: beyond a second, the machine stood still or was not ours.
        self.late_seconds = 0.0
        host, port = url.removeprefix("http://").split(":")
        self._host, self._port = host, int(port)
        self._head = (
            f"POST /v1/batch HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\ncontent-length: %d\r\n\r\n"
        ).encode()
        self._body = json.dumps({"batch": [_event(place) for place in range(EVENTS_PER_BATCH)]}).encode()
        # Newest last, with the time since which each waits.
        self._idle: list[tuple[float, Connection]] = []
        self._all: list[Connection] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._next = PEOPLE_NUMBER + 1

    async def measure(self, seconds: float, *, connections: int = 16) -> float:
        """Batches a second when each connection sends as soon as it is answered: all that the machine carries."""
        began, first = time.monotonic(), self._next

        async def client() -> None:
            while time.monotonic() < began + seconds:
                await self._send()

        await asyncio.gather(*(client() for _ in range(connections)))
        return (self._next - first) / (time.monotonic() - began)

    async def run(self) -> None:
        """Send `rate_per_s` until cancelled; what would be too much under way is left out."""
        due = time.monotonic()
        try:
            while True:
                due = max(due + 1 / self.rate_per_s, time.monotonic() - 1)
                await asyncio.sleep(due - time.monotonic())
                self.late_seconds = max(self.late_seconds, time.monotonic() - due)
                if len(self._under_way) < _UNDER_WAY_MAX:
                    task = asyncio.create_task(self._send())
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way)
            for connection in self._all:
                connection.close()

    async def _send(self) -> None:
        number, self._next = self._next, self._next + 1
        body = self._body.replace(_NUMBER.encode(), b"%d" % number)
        began = time.monotonic()
        status = 0
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                connection = await self._connection()
                status = await connection.ask(self._head % len(body) + body)
                self._idle.append((time.monotonic(), connection))
        except (OSError, TimeoutError):
            pass
        self.answers.add(number, status, began)

    async def _connection(self) -> Connection:
        while self._idle:
            since, connection = self._idle.pop()
            if connection.is_open and time.monotonic() - since < _IDLE_SECONDS_MAX:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._host, self._port)
        self._all.append(connection)
        return connection


def _event(place: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Report Generated",
        "messageId": f"{_NUMBER}-{place}",
        "userId": f"user-{place}",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "context": {"groupId": f"acct-{place}"},
        "properties": {"rows": 120, "kind": "pipeline", "url": "https://app.acme.example/reports/17", "ms": 1532.25},
    }
