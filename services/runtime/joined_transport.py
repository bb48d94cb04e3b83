"""A transport whose writes of one turn of the event loop leave as one: head and body of an answer in one packet."""

from __future__ import annotations

import asyncio
from typing import Any, Final

# More is written at once, so that the transport can ask its writer to pause.
_HELD_BYTES_MAX: Final = 65_536


class JoinedTransport:
    """`transport` in all but its writes: each that is saved is a call of the operating system."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        # Asked several times per request, which `__getattr__` is slow for.
        self.is_closing = transport.is_closing
        self._loop = loop
        self._parts: list[bytes] = []
        self._held_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """At the end of this turn, or at once with what came before if it is much."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _HELD_BYTES_MAX:
            self._flush()

    def close(self) -> None:
        """After what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts, self._held_bytes = self._parts, [], 0
        # The client may have gone since; writing to what is closed is an error.
        if parts and not self.is_closing():
            self._transport.write(b"".join(parts))
