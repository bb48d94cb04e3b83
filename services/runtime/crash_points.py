"""Named places at which a test may have the process die as by kill -9; off, and free of cost, unless armed."""

from __future__ import annotations

import os
import signal

_armed: dict[str, int] = {}


def arm(crash_at: str) -> None:
    """`name` or `name:n`: die at the n-th (default first) time that `crash_point(name)` is reached."""
    _armed.clear()
    if crash_at:
        name, _, count = crash_at.partition(":")
        _armed[name] = int(count or 1)


def crash_point(name: str) -> None:
    """Die here, without any clean-up, if this point is armed and its turn has come."""
    if _armed and name in _armed:
        _armed[name] -= 1
        if _armed[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
