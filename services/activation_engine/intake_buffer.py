"""Records of one partition that were fetched and not applied yet, in order and without a gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class IntakeBuffer:
    """Starts empty at `next_offset`, the first record that the partition's lease has not applied."""

    def __init__(self, next_offset: int) -> None:
        self.expected = next_offset
        # Records offered that had been taken or applied before.
        self.redelivered = 0
        # Where an offset was last asked for again: if the log still begins above it, it has no such offset.
        self.sought: int | None = None
        self._records: list[Any] = []
        self._start = 0

    def __len__(self) -> int:
        return len(self._records) - self._start

    def offer(self, records: Sequence[Any]) -> bool:
        """Take what continues the buffer and count what repeats. False, with nothing taken, when records are missing
        in between or all are repeated: whoever fetched them stood at another place than this buffer."""
        first = records[0].offset
        if first != self.expected:
            fresh = [record for record in records if record.offset >= self.expected]
            self.redelivered += len(records) - len(fresh)
            if not fresh or (fresh[0].offset > self.expected and self.sought != self.expected):
                return False
            records = fresh
        self._records.extend(records)
        self.expected = records[-1].offset + 1
        return True

    def peek(self, count: int) -> list[Any]:
        """The next records, at most `count`."""
        return self._records[self._start : self._start + count]

    def consume(self, count: int) -> None:
        """The next `count` are applied."""
        self._start += count
        if self._start * 2 >= len(self._records):
            del self._records[: self._start]
            self._start = 0
