"""The bytes that requests and records hold in memory, with a bound: overload is answered, never swallowed."""

from __future__ import annotations


class Overloaded(Exception):
    """More is held than allowed; the client should come back."""


class InFlight:
    """A count of bytes that may not pass `bytes_max`."""

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held_bytes = 0

    def reserve(self, size_bytes: int) -> None:
        """Count `size_bytes`; raises Overloaded and counts nothing when that would be too much."""
        if self.held_bytes + size_bytes > self._bytes_max:
            raise Overloaded
        self.held_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back what was reserved."""
        self.held_bytes -= size_bytes
        assert self.held_bytes >= 0


class Hold:
    """What one request holds; released as a whole when it ends."""

    __slots__ = ("_held_bytes", "_inflight")

    def __init__(self, inflight: InFlight) -> None:
        self._inflight = inflight
        self._held_bytes = 0

    def grow(self, size_bytes: int) -> None:
        """Hold `size_bytes` more; raises Overloaded."""
        self._inflight.reserve(size_bytes)
        self._held_bytes += size_bytes

    def release(self) -> None:
        """Hold nothing any more."""
        self._inflight.release(self._held_bytes)
        self._held_bytes = 0
