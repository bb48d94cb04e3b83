"""Finding the one record whose rows the database can never take: after a refusal, records come one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.activation_engine.decoder import Input, Poison, Reason, Record
from services.activation_engine.domain.event import Event


class Suspects:
    """Partitions under suspicion, with the offset up to which their records are applied alone; and the records that
    were refused alone, which are poison from then on."""

    def __init__(self) -> None:
        self._until: dict[int, int] = {}
        self._poisonous: dict[int, int] = {}

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

    def refused(self, taken: Mapping[int, Sequence[Record]]) -> bool:
        """Note that the rows of these records were refused; False when nothing is left to try, because the record that
        is to blame can be put aside no more, or is a tick, which everybody needs."""
        given = [(part, record) for part, records in taken.items() for record in records]
        for part, record in given:
            self._until[part] = max(record.offset, self._until.get(part, -1))
        if len(given) > 1:
            return True
        for part, record in given:
            if record.key is not None and self._poisonous.get(part) != record.offset:
                self._poisonous[part] = record.offset
                return True
        return False

    def judged(self, part: int, record: Record, given: Input) -> Input:
        """What a record is to the fold."""
        if isinstance(given, Event) and self._poisonous.get(part) == record.offset:
            return Poison(Reason.ROWS_REFUSED, "the database refused what this record would have written")
        return given
