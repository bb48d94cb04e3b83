"""The greatest load that a system carries: when a backlog counts as flat, and the search for the load where it is."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

# Less than what comes in within this time is the noise of batches and pauses, not a backlog.
_NOISE_SECONDS = 0.3
# Growth below this share of what comes in is not seen over a step.
_GROWTH_MAX = 0.02
_SAMPLES_MIN = 6
# Below this part of the first load the search gives up.
_FIRST_TO_LEAST = 64


class Found(NamedTuple):
    """`carried` held and is 0 if nothing did; `refused` did not hold and is None if everything did."""

    carried: float
    refused: float | None


def is_flat(waiting: Sequence[float], *, seconds: float, inflow_per_s: float) -> bool:
    """Whether a backlog, looked at in even steps over `seconds`, neither grew nor is worth a word.

    The first third is left out: there, caches and batches settle. Raises ValueError for too few looks to judge by.
    """
    if len(waiting) < _SAMPLES_MIN:
        raise ValueError(f"{len(waiting)} looks at the backlog are too few, at least {_SAMPLES_MIN} are needed")
    third = len(waiting) // 3
    before, after = statistics.fmean(waiting[third:-third]), statistics.fmean(waiting[-third:])
    growth_per_s = (after - before) / (seconds / 3)
    return after <= _NOISE_SECONDS * inflow_per_s or growth_per_s <= _GROWTH_MAX * inflow_per_s


async def greatest(
    holds: Callable[[float], Awaitable[bool]], *, first: float, halvings: int, time_left: Callable[[], bool]
) -> Found:
    """Double from `first` until it does not hold, then halve the gap.

    If `first` does not hold, halve it until it does, a few times. Without time left it ends with what it has carried.
    """
    carried, refused, load = 0.0, None, first
    while carried == 0 or (refused is None and time_left()):
        if await holds(load):
            carried = load
            load *= 2
        else:
            refused = load
            load /= 2
        if load < first / _FIRST_TO_LEAST:
            break
    for _ in range(halvings):
        if refused is None or carried == 0 or not time_left():
            break
        middle = (carried + refused) / 2
        if await holds(middle):
            carried = middle
        else:
            refused = middle
    return Found(carried, refused)
