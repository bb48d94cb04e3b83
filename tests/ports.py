"""Ports of the loopback for what tests start."""

from __future__ import annotations

import socket

_given: set[int] = set()


def free_port() -> int:
    """One that was free a moment ago, and another each time: what was told the one before may not listen yet."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port
