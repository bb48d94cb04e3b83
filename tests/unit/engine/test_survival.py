"""Kaplan-Meier against scipy's, whatever the ties and however few were watched to the end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from services.activation_engine.domain.survival import Curve, Estimate, interval, kaplan_meier, percentiles, pooled

# Few distinct times, so that ties within and between the two kinds are the rule.
TIMES = st.lists(st.integers(0, 25).map(lambda tenth: tenth / 10), max_size=80)
MANY = st.lists(st.floats(0, 400, allow_nan=False), min_size=1, max_size=60)


def reference(done: list[float], waiting: list[float]) -> list[tuple[float, float, float, float]]:
    """(time, survival, low, high) at each time at which somebody is done, by scipy."""
    survival = ecdf(CensoredData(uncensored=done, right=waiting)).sf
    with np.errstate(all="ignore"):
        between = survival.confidence_interval(0.95, method="log-log")
    columns = zip(
        survival.quantiles, survival.probabilities, between.low.probabilities, between.high.probabilities, strict=True
    )
    return [tuple(map(float, row)) for row in columns if row[0] in set(done)]  # type: ignore[misc]


@pytest.mark.filterwarnings("ignore")
@given(done=TIMES.filter(bool), waiting=TIMES)
def test_the_curve_is_the_published_one(done: list[float], waiting: list[float]) -> None:
    """Survival and 95 % interval at every step agree with scipy's Kaplan-Meier, ties and heavy censoring included."""
    curve = kaplan_meier(done, waiting)
    expected = reference(done, waiting)
    assert [step.time for step in curve.steps] == [row[0] for row in expected]
    for step, (_, survival, low, high) in zip(curve.steps, expected, strict=True):
        assert step.survival == pytest.approx(survival, abs=1e-12)
        found = step.estimate()
        if math.isclose(survival, 0, abs_tol=1e-12):
            assert (found.low, found.high) == (None, None)
        else:
            assert found.low == pytest.approx(1 - high)
            assert found.high == pytest.approx(1 - low)


@given(done=MANY)
def test_without_censoring_it_is_the_plain_share(done: list[float]) -> None:
    """Everybody was watched to the end: the curve counts, and its quantiles are those of the sample."""
    curve = kaplan_meier(done, [])
    for step in curve.steps:
        assert step.estimate().rate == pytest.approx(sum(one <= step.time for one in done) / len(done))
    assert curve.quantile(1) == max(done)
    assert curve.quantile(0.5) == sorted(done)[(len(done) - 1) // 2]


@given(done=MANY, waiting=MANY)
def test_curves_only_rise_and_intervals_hold_them(done: list[float], waiting: list[float]) -> None:
    """Rates never fall, stay between 0 and 1, and lie in their interval."""
    rates = [step.estimate().rate for step in kaplan_meier(done, waiting).steps]
    assert rates == sorted(rates)
    for step in kaplan_meier(done, waiting).steps:
        found = step.estimate()
        assert 0 < found.rate <= 1
        if found.low is not None and found.high is not None:
            assert 0 <= found.low <= found.rate <= found.high <= 1


def test_those_on_the_way_make_the_median_later() -> None:
    """Three were fast and seven still wait: the plain median flatters, the curve does not even reach one half."""
    done, waiting = [1.0, 2.0, 3.0], [10.0] * 7
    curve = kaplan_meier(done, waiting)
    assert (*percentiles(done, 0.5), curve.quantile(0.5), curve.quantile(0.3)) == (2.0, None, 3.0)


def test_a_share_at_a_time_that_nobody_has_reached_is_unknown() -> None:
    """Beyond the longest observation nothing is claimed, unless everybody is done."""
    curve = kaplan_meier([2.0], [5.0, 5.0])
    assert rate_at(curve, 1.9) == 0
    assert rate_at(curve, 2.0) == pytest.approx(1 / 3)
    assert rate_at(curve, 5.0) == pytest.approx(1 / 3)
    assert curve.at(5.1) is None
    assert rate_at(kaplan_meier([2.0, 3.0], []), 90) == 1
    assert kaplan_meier([], []).at(1) is None
    assert rate_at(kaplan_meier([], [4.0]), 4) == 0


def rate_at(curve: Curve, time: float) -> float:
    """The share done by then, which is known."""
    found = curve.at(time)
    assert found is not None
    return found.rate


def test_pooling_weighs_groups_by_size() -> None:
    """One group is itself; two of the same share halve the variance."""
    one = interval(0.5, 0.01)
    assert pooled([(7, one)]) == one
    both = pooled([(5, one), (5, one)])
    assert both is not None
    assert both.rate == 0.5
    assert both.variance == pytest.approx(0.005)
    assert pooled([(3, Estimate(1.0, None, None, 0)), (1, Estimate(0.0, None, None, 0))]) == interval(0.75, 0)
    assert pooled([]) is None


@given(values=MANY | TIMES.filter(bool), share=st.floats(0, 1))
def test_percentiles_lie_between_neighbours(values: list[float], share: float) -> None:
    """As numpy takes them, repeated values included."""
    assert percentiles(values, share, 0.5) == pytest.approx(list(np.percentile(values, [share * 100, 50])), abs=1e-9)


def test_nothing_has_no_percentiles() -> None:
    """Each is unknown."""
    assert percentiles([], 0.5, 0.9) == [None, None]
