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
    """Partitions under suspicion, with the offset up to which their records are applied alone; and the records that
    were refused alone, which are poison from then on."""

    def __init__(self) -> None:
        self._until: dict[int, int] = {}
        self._poisonous: dict[int, tuple[int, Reason]] = {}

    def narrowed(self, taken: Mapping[int, Sequence[Record]]) -> Mapping[int, Sequence[Record]]:
        """The records to apply now: all of them, or the next one of a partition under suspicion."""
        for part, records in taken.items():
            if not records:
                continue
            if self._until.get(part, -1) >= records[0].offset:
                return {part: records[:1]}
            self._until.pop(part, None)
            self._poisonous.pop(part, None)
        return taken

    def refused(self, taken: Mapping[int, Sequence[Record]], problem: Reason) -> Collection[int]:
        """Note that one of these records can never be applied, and why. Returns the partitions that have to stop: the
        record that is to blame can be put aside no more, or is a tick, which everybody needs."""
        given = [(part, record) for part, records in taken.items() for record in records]
        for part, record in given:
            self._until[part] = max(record.offset, self._until.get(part, -1))
        if not given:
            return set(taken)
        (part, record), *more = given
        if more:
            return set()
        if record.key is None or self._problem(part, record) is not None:
            return {part}
        self._poisonous[part] = record.offset, problem
        return set()

    def judged(self, part: int, record: Record, given: Input) -> Input:
        """What a record is to the fold."""
        problem = self._problem(part, record)
        return given if problem is None or not isinstance(given, Event) else Poison(problem, _DETAILS[problem])

    def _problem(self, part: int, record: Record) -> Reason | None:
        offset, problem = self._poisonous.get(part, (None, None))
        return problem if offset == record.offset else None
