"""Watches the ledger's gapless number per partition: repeats are counted, a gap stays open until it is filled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

# More open gaps than this are merged into the last one: the alarm stays, only its detail suffers.
GAPS_MAX = 64


class Arrival(StrEnum):
    """How a number relates to those before it."""

    NEXT = "next"
    REPEAT = "repeat"
    FILLS = "fills"
    GAP = "gap"
    OTHER_LEDGER = "other_ledger"


@dataclass(frozen=True, slots=True)
class Progress:
    """The highest number seen and the closed intervals below it that are missing, in order; `ledger_ms` tells of which
    ledger, if that is known."""

    last: int | None = None
    gaps: tuple[tuple[int, int], ...] = ()
    ledger_ms: int | None = None

    @property
    def missing(self) -> int:
        """How many numbers have not arrived."""
        return sum(end - start + 1 for start, end in self.gaps)


def observe(progress: Progress, number: int, ledger_ms: int | None = None) -> tuple[Progress, Arrival]:
    """Progress after `number` arrived; the first number seen of a ledger opens no gap.

    What another ledger still owed is forgotten with its numbers: nobody has it any more. Without `ledger_ms` the number
    is one of the ledger that is being followed, as are numbers from before that was known.
    """
    if ledger_ms is not None and ledger_ms != progress.ledger_ms:
        if progress.ledger_ms is not None:
            return Progress(number, ledger_ms=ledger_ms), Arrival.OTHER_LEDGER
        progress = replace(progress, ledger_ms=ledger_ms)
    last = progress.last
    if last is None or number == last + 1:
        return replace(progress, last=number), Arrival.NEXT
    if number > last:
        gaps = _bounded((*progress.gaps, (last + 1, number - 1)))
        return replace(progress, last=number, gaps=gaps), Arrival.GAP
    for index, (start, end) in enumerate(progress.gaps):
        if start <= number <= end:
            rest = tuple(part for part in ((start, number - 1), (number + 1, end)) if part[0] <= part[1])
            gaps = (*progress.gaps[:index], *rest, *progress.gaps[index + 1 :])
            return replace(progress, gaps=_bounded(gaps)), Arrival.FILLS
    return progress, Arrival.REPEAT


def _bounded(gaps: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    if len(gaps) <= GAPS_MAX:
        return gaps
    kept, merged = gaps[: GAPS_MAX - 1], gaps[GAPS_MAX - 1 :]
    return (*kept, (merged[0][0], merged[-1][1]))
