"""Waiting for what another process or task does: on a condition, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT_SECONDS = 60.0


def wait_until(condition: Callable[[], T], *, what: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> T:
    """The first truthy result of `condition`; fails after `timeout_seconds`, saying `what` did not come."""
    deadline = time.monotonic() + timeout_seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, _late(what, result, timeout_seconds)
        time.sleep(0.05)
    return result


async def until(
    condition: Callable[[], Awaitable[T | None]], *, what: str = "", timeout_seconds: float = TIMEOUT_SECONDS
) -> T:
    """The same, of a condition to await, while the test's own loop goes on."""
    deadline = time.monotonic() + timeout_seconds
    while not (result := await condition()):
        assert time.monotonic() < deadline, _late(what, result, timeout_seconds)
        await asyncio.sleep(0.02)
    return result


def _late(what: str, result: object, timeout_seconds: float) -> str:
    return f"not within {timeout_seconds:g} s: {what or 'the condition'} (still {result!r})"
