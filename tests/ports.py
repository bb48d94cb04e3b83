"""Ports of the loopback for what tests start."""

from __future__ import annotations

import os
import secrets
import socket

# Below every system's range for outgoing connections and for port 0, and the local stack's: whoever asks for those
# meanwhile, also while what listened is started anew, takes none of these.
_PORT_MIN, _PORT_MAX = 10_000, 20_000
# Processes of one session that run at the same time share none; of other sessions, chance keeps them apart.
_SHARES = 8
_given: set[int] = set()


def free_port() -> int:
    """One that was free a moment ago, and another each time: what was told the one before may not listen yet."""
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    while True:
        port = _PORT_MIN + share + _SHARES * secrets.randbelow((_PORT_MAX - _PORT_MIN) // _SHARES)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
