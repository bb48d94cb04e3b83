"""One look at the database shared by everybody who waits for the same change, so that waiting stays cheap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SharedRead(Generic[Value]):
    """Reads at most once each `interval_seconds`, however many wait. Only for facts that, once true, stay true."""

    def __init__(self, read: Callable[[], Awaitable[Value]], *, interval_seconds: float) -> None:
        self._read = read
        self._interval_seconds = interval_seconds
        self._lock = asyncio.Lock()
        self._latest: tuple[float, Value] | None = None

    async def latest(self) -> Value:
        """The value, at most `interval_seconds` old."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._latest is None or now - self._latest[0] >= self._interval_seconds:
                self._latest = (now, await self._read())
            return self._latest[1]

    async def wait_until(self, satisfied: Callable[[Value], bool], *, timeout_seconds: float) -> bool:
        """Whether `satisfied` held for a value read within `timeout_seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while not satisfied(await self.latest()):
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(self._interval_seconds)
        return True
