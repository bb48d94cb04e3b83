"""Time to first value and activation rate of a group of accounts, by Kaplan-Meier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.survival import Curve, Estimate, Step, kaplan_meier, percentiles, pooled
from services.activation_engine.insights.cohorts import grouped
from services.activation_engine.insights.times import in_days, received, sent
from services.activation_engine.insights.wording import rounded

# Columns of a query that groups by segment. Of started accounts: the time until first value and, for those on the way
# or closed, how long they were watched.
TIMES = f"""
count(*) FILTER (WHERE started) AS started,
{sent("days")} FILTER (WHERE started AND valued) AS done,
{sent("days")} FILTER (WHERE started AND NOT valued) AS waiting
"""
POINTS_MAX = 100


def curve_of(rows: Sequence[Any]) -> Curve:
    """The curve over all rows of `TIMES`, in hundredths of plan days."""
    return kaplan_meier(received(row.done for row in rows), received(row.waiting for row in rows))


def activation_rate(plan: Plan, rows: Sequence[Any]) -> dict[str, Any]:
    """The share that reaches first value within its segment's window, over the segments for which somebody was watched
    that long; `accounts` counts those of these segments."""
    strata = []
    for segment, members in grouped(rows, lambda row: row.segment).items():
        window_ms = plan.segments[segment].window_ms if segment in plan.segments else _only_window(plan)
        found = curve_of(members).at(window_ms * 100 / plan.day_ms) if window_ms is not None else None
        if found is not None:
            strata.append((sum(row.started for row in members), found))
    return {**_estimate(pooled(strata)), "accounts": sum(size for size, _ in strata)}


def _only_window(plan: Plan) -> int | None:
    return plan.segments[plan.default_segment].window_ms


def timing(plan: Plan, rows: Sequence[Any]) -> dict[str, Any]:
    """Counts, the curve and what is read off it, beside the plain median of those that are done."""
    curve = curve_of(rows)
    (naive_median,) = percentiles(received(row.done for row in rows), 0.5)
    return {
        "accounts": curve.observed,
        "reached": curve.done,
        "on_the_way": curve.observed - curve.done,
        "median_days": in_days(curve.quantile(0.5)),
        "p90_days": in_days(curve.quantile(0.9)),
        "naive_median_days": in_days(naive_median),
        "activation_rate": activation_rate(plan, rows),
        "curve": [_point(step) for step in thinned(curve.steps)],
    }


def thinned(steps: Sequence[Step]) -> list[Step]:
    """At most 100 of the steps, evenly over them, the last among them."""
    if len(steps) <= POINTS_MAX:
        return list(steps)
    return [steps[(place + 1) * len(steps) // POINTS_MAX - 1] for place in range(POINTS_MAX)]


def _point(step: Step) -> dict[str, Any]:
    return {"day": in_days(step.time), "at_risk": step.at_risk, **_estimate(step.estimate())}


def _estimate(found: Estimate | None) -> dict[str, float | None]:
    if found is None:
        return {"rate": None, "low": None, "high": None}
    return {"rate": rounded(found.rate, 4), "low": rounded(found.low, 4), "high": rounded(found.high, 4)}
