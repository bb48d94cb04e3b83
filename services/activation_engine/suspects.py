"""Finding the one record that can never be applied, when it took a whole batch to notice: records come one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence

from services.activation_engine.decoder import Input, Poison, Reason, Record
from services.activation_engine.domain.event import Event

_DETAILS = {
    Reason.ROWS_REFUSED: "the database refused what this record would have written",
    Reason.FOLD_FAILED: "the engine failed at this record; its log says where",
}


class FoldFailed(Exception):
    """A mistake of ours, which would be made again at the same record after every start."""


@contextlib.contextmanager
def mistakes_told_apart() -> Iterator[None]:
    """Raises FoldFailed for whatever is raised inside but too little memory, which passes. So nothing inside may ask a
    server: its trouble would cost records."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise FoldFailed(type(error).__name__) from error


class Suspects:
    """Partitions under suspicion, with the offset up to which their records are applied alone; those that had none in
    a refused batch, where they only adopted a version; and the records that were refused alone, which are poison from
    then on."""

    def __init__(self) -> None:
        self._until: dict[int, int] = {}
        self._without_records: set[int] = set()
        self._poisonous: dict[int, tuple[int, Reason]] = {}

    def narrowed(self, taken: Mapping[int, Sequence[Record]]) -> Mapping[int, Sequence[Record]]:
        """The records to apply now: all of them, or the next one of a partition under suspicion, if it has any."""
        for part, records in taken.items():
            if not records:
                if part in self._without_records:
                    # Once is enough: it adopts, or has to stop.
                    self._without_records.remove(part)
                    return {part: records}
                continue
            if self._until.get(part, -1) >= records[0].offset:
                return {part: records[:1]}
            self._until.pop(part, None)
            self._poisonous.pop(part, None)
        return taken

    def refused(self, taken: Mapping[int, Sequence[Record]], problem: Reason) -> Collection[int]:
        """Note that something in these can never be applied, and why. Returns the partitions that have to stop: one
        that was tried alone, and had no record, or one that can be put aside no more, or a tick, which everybody
        needs."""
        for part, records in taken.items():
            if records:
                self._until[part] = max(records[-1].offset, self._until.get(part, -1))
            else:
                self._without_records.add(part)
        if len(taken) > 1 or any(len(records) > 1 for records in taken.values()):
            return set()
        ((part, records),) = taken.items()
        if not records or records[0].key is None or self._problem(part, records[0]) is not None:
            return {part}
        self._poisonous[part] = records[0].offset, problem
        return set()

    def judged(self, part: int, record: Record, given: Input) -> Input:
        """What a record is to the fold."""
        problem = self._problem(part, record)
        return given if problem is None or not isinstance(given, Event) else Poison(problem, _DETAILS[problem])

    def _problem(self, part: int, record: Record) -> Reason | None:
        offset, problem = self._poisonous.get(part, (None, None))
        return problem if offset == record.offset else None
