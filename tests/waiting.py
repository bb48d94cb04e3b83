"""Waiting for what another process does: on a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, what: str = "", timeout_seconds: float = 60) -> T:
    """The first truthy result of `condition`; fails after `timeout_seconds`, saying `what` did not come."""
    deadline = time.monotonic() + timeout_seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what}"
        time.sleep(0.05)
    return result
