"""Kaplan-Meier: how long something takes, estimated from those who are done and those who are still on the way.

E. L. Kaplan and P. Meier, Nonparametric estimation from incomplete observations, JASA 53 (1958); the variance is
Greenwood's, and intervals are formed on the log(-log) scale so that they stay between 0 and 1."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from msgspec import Struct

# The 97.5 % quantile of the normal distribution: intervals cover 95 %.
_Z = 1.959963984540054
# A product of fractions that is 1/2 on paper may be a little more in binary.
_ROUNDING = 1e-12


class Estimate(Struct, frozen=True):
    """The share done, 0 to 1, with its 95 % interval; an interval is undefined while nobody, or everybody, is done."""

    rate: float
    low: float | None
    high: float | None
    # Greenwood's variance of the share.
    variance: float


class Step(Struct, frozen=True):
    """At `time`, `done` of the `at_risk` who were still on the way got there."""

    time: float
    at_risk: int
    done: int
    # The share still on the way after it, 0 to 1, and the sum in Greenwood's formula.
    survival: float
    spread: float

    def estimate(self) -> Estimate:
        """The share done by now."""
        if self.survival <= 0:
            return Estimate(1.0, None, None, 0.0)
        return interval(1 - self.survival, self.survival * self.survival * self.spread)


class Curve(Struct, frozen=True):
    """The steps in order of time; `last_time` is the longest observation of all, None when there was none."""

    steps: tuple[Step, ...]
    observed: int
    done: int
    last_time: float | None

    def quantile(self, share: float) -> float | None:
        """The first time by which this share, 0 to 1, is done; None when the curve does not get there."""
        for step in self.steps:
            if 1 - step.survival >= share - _ROUNDING:
                return step.time
        return None

    def at(self, time: float) -> Estimate | None:
        """The share done by `time`; None when nobody was watched for so long and some are still on the way."""
        if self.last_time is None:
            return None
        place = bisect_right(self.steps, time, key=lambda step: step.time)
        known = self.steps[place - 1].estimate() if place else _NOBODY
        if time > self.last_time and known.rate < 1 - _ROUNDING:
            return None
        return known


_NOBODY = Estimate(0.0, None, None, 0.0)


def kaplan_meier(done: Iterable[float], waiting: Iterable[float]) -> Curve:
    """The curve of those who got there after the times in `done`, while the others have waited for the times in
    `waiting` so far. Who has waited exactly as long as another took counts as at risk then."""
    finished, censored = Counter(done), Counter(waiting)
    at_risk = observed = finished.total() + censored.total()
    survival, spread, steps = 1.0, 0.0, []
    times = sorted(finished.keys() | censored.keys())
    for time in times:
        events = finished[time]
        if events:
            survival *= 1 - events / at_risk
            spread = spread + events / (at_risk * (at_risk - events)) if events < at_risk else math.inf
            steps.append(Step(time, at_risk, events, survival, spread))
        at_risk -= events + censored[time]
    return Curve(tuple(steps), observed, finished.total(), times[-1] if times else None)


def interval(rate: float, variance: float) -> Estimate:
    """A share done with its interval, from its variance."""
    survival = 1 - rate
    if not 0 < survival < 1:
        return Estimate(rate, None, None, variance)
    log_survival = math.log(survival)
    half_width = _Z * math.sqrt(variance) / abs(survival * log_survival)
    low, high = (1 - math.exp(log_survival * math.exp(side * half_width)) for side in (-1, 1))
    return Estimate(rate, low, high, variance)


def pooled(strata: Sequence[tuple[int, Estimate]]) -> Estimate | None:
    """The share done over groups of these sizes, each estimated by itself; None for no group."""
    total = sum(size for size, _ in strata)
    if not total:
        return None
    rate = sum(size / total * one.rate for size, one in strata)
    return interval(rate, sum((size / total) ** 2 * one.variance for size, one in strata))


def percentiles(values: Iterable[float], *shares: float) -> list[float | None]:
    """The values below which these shares, 0 to 1, of them lie, between neighbours in proportion; None of nothing."""
    counted = sorted(Counter(values).items())
    ends = list(accumulate(count for _, count in counted))
    if not ends:
        return [None] * len(shares)

    def at(share: float) -> float:
        place = share * (ends[-1] - 1)
        lower, upper = (counted[bisect_right(ends, rank)][0] for rank in (math.floor(place), math.ceil(place)))
        return lower + (place - math.floor(place)) * (upper - lower)

    return [at(share) for share in shares]
