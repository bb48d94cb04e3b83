"""One request's records on their way: done when Kafka has confirmed all of them, or any of them failed."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from services.runtime.crash_points import crash_point

# The greatest event that a key may have as its own limit, as base64 and in its envelope. What is larger does not fit
# behind what a produce batch of the greatest `produce_bytes` holds, and no event must ever fail a batch.
RECORD_BYTES_MAX: Final = 360_448


# There are one or two per event: a structure costs a third of what a named tuple does.
class Record(msgspec.Struct, gc=False):
    """What is stored on a partition of a topic; a null key is a tick or a dead letter."""

    partition: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]] | None = None


class BrokerUnavailable(Exception):
    """Kafka does not confirm; nothing was lost that was promised, and the client should come back."""


class Delivery:
    """What a request waits on while its records are with the writers of several partitions.

    Giving up the wait does not take records back: those that were sent may still arrive.
    """

    __slots__ = ("_future", "_pending", "given_up", "next_offsets")

    def __init__(self) -> None:
        self._future: asyncio.Future[BrokerUnavailable | None] = asyncio.get_running_loop().create_future()
        self._pending = 0
        self.given_up = False
        # By topic and partition, the offset after the last record; -1 where the broker did not say.
        self.next_offsets: dict[tuple[str, int], int] = {}

    @property
    def done(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self._future.done()

    def expect(self, parts: int) -> None:
        """Wait for `parts` more calls of `acked`."""
        self._pending += parts

    def acked(self, topic: str, partition: int, next_offset: int) -> None:
        """A part was confirmed."""
        place = topic, partition
        self.next_offsets[place] = max(next_offset, self.next_offsets.get(place, -1))
        self._pending -= 1
        if self._pending:
            crash_point("ingest.half_acked")
        elif not self._future.done():
            self._future.set_result(None)

    def failed(self, error: BrokerUnavailable) -> None:
        """A part will not be confirmed; the whole counts as not confirmed."""
        self.given_up = True
        if not self._future.done():
            self._future.set_result(error)

    async def wait(self) -> None:
        """Return when everything was confirmed; raises BrokerUnavailable when not, or not in time."""
        try:
            error = await self._future
        except asyncio.CancelledError:
            self.given_up = True
            raise
        if error is not None:
            # Not the same one: its traceback would hold this frame, which holds it, and with them the whole request.
            raise BrokerUnavailable(str(error))
