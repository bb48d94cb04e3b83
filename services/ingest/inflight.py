"""What requests and records hold in memory, with bounds: overload is answered, never swallowed."""

from __future__ import annotations


class Overloaded(Exception):
    """More is held than allowed; the client should come back."""


class InFlight:
    """Counts of bytes and of requests worked on, which may not pass `bytes_max` and `requests_max`.

    Bodies that are still on their way may take half of the bytes, unless the key of a server came before them: slow
    clients, who need no key to begin with, leave the rest to those who have one and to those who send at once.
    """

    def __init__(self, *, bytes_max: int, requests_max: int) -> None:
        self._bytes_max = bytes_max
        self._requests_max = requests_max
        self.held_bytes = 0
        self.unfinished_bytes = 0
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

    def reserve_unfinished(self, size_bytes: int) -> None:
        """The same for a part of a body whose sender is not trusted, until `finish`."""
        if self.unfinished_bytes + size_bytes > self._bytes_max // 2:
            raise Overloaded
        self.reserve(size_bytes)
        self.unfinished_bytes += size_bytes

    def finish(self, size_bytes: int) -> None:
        """So much of what was reserved is no part of an unfinished body any more."""
        self.unfinished_bytes -= size_bytes
        assert self.unfinished_bytes >= 0

    def release(self, size_bytes: int) -> None:
        """Give back what was reserved."""
        self.held_bytes -= size_bytes
        assert self.held_bytes >= 0


class Hold:
    """What one request holds; released as a whole when it ends."""

    __slots__ = ("_entered", "_held_bytes", "_inflight", "_unfinished_bytes")

    def __init__(self, inflight: InFlight) -> None:
        self._inflight = inflight
        self._held_bytes = 0
        self._unfinished_bytes = 0
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

    def grow_unfinished(self, size_bytes: int) -> None:
        """Hold a part of a body whose sender is not trusted and of which more follows; raises Overloaded."""
        self._inflight.reserve_unfinished(size_bytes)
        self._held_bytes += size_bytes
        self._unfinished_bytes += size_bytes

    def finish(self) -> None:
        """The body is whole."""
        self._inflight.finish(self._unfinished_bytes)
        self._unfinished_bytes = 0

    def release(self) -> None:
        """Hold nothing any more."""
        self.finish()
        self._inflight.release(self._held_bytes)
        self._held_bytes = 0
        if self._entered:
            self._inflight.leave()
            self._entered = False
