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


@dataclass(frozen=True, slots=True)
class Progress:
    """The highest number seen and the closed intervals below it that are missing, in order."""

    last: int | None = None
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def missing(self) -> int:
        """How many numbers have not arrived."""
        return sum(end - start + 1 for start, end in self.gaps)


def observe(progress: Progress, number: int) -> tuple[Progress, Arrival]:
    """Progress after `number` arrived; the first number ever seen on a partition opens no gap."""
    last = progress.last
    if last is None or number == last + 1:
        return replace(progress, last=number), Arrival.NEXT
    if number > last:
        return Progress(number, _bounded((*progress.gaps, (last + 1, number - 1)))), Arrival.GAP
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
