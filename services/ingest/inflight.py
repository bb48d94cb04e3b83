"""What requests and records hold in memory, with bounds: overload is answered, never swallowed."""

from __future__ import annotations


class Overloaded(Exception):
    """More is held than allowed; the client should come back."""


class InFlight:
    """Counts of bytes and of requests worked on, which may not pass `bytes_max` and `requests_max`."""

    def __init__(self, *, bytes_max: int, requests_max: int) -> None:
        self._bytes_max = bytes_max
        self._requests_max = requests_max
        self.held_bytes = 0
        self.requests = 0

    def enter(self) -> None:
        """Count one more request; raises Overloaded and counts nothing when that would be too many."""
        if self.requests >= self._requests_max:
            raise Overloaded
        self.requests += 1

    def leave(self) -> None:
        """A request that was counted has ended."""
        self.requests -= 1
        assert self.requests >= 0

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

    __slots__ = ("_entered", "_held_bytes", "_inflight")

    def __init__(self, inflight: InFlight) -> None:
        self._inflight = inflight
        self._held_bytes = 0
        self._entered = False

    def enter(self) -> None:
        """Count as a request that is worked on; raises Overloaded.

        Not before its body is here: as many slow clients as there may be requests would keep all others out.
        """
        self._inflight.enter()
        self._entered = True

    def grow(self, size_bytes: int) -> None:
        """Hold `size_bytes` more; raises Overloaded."""
        self._inflight.reserve(size_bytes)
        self._held_bytes += size_bytes

    def release(self) -> None:
        """Hold nothing any more."""
        self._inflight.release(self._held_bytes)
        self._held_bytes = 0
        if self._entered:
            self._inflight.leave()
            self._entered = False
