"""The milestones in the plan's order: how many accounts reached each, and how long that took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.activation_engine.insights.cohorts import with_cohorts
from services.activation_engine.insights.scope import Scope
from services.activation_engine.insights.wording import accounts_text, days_text, rounded, share_text

# One pass over the accounts with an aggregate per milestone: a row per account and milestone takes twice as long.
_STEPS = """
, dated AS MATERIALIZED (SELECT cohort, CAST(start_ms AS bigint) AS start_ms, {dates} FROM accounts WHERE started)
SELECT grouping(cohort) = 1 AS whole, cohort, count(*) AS accounts, {milestones}
FROM dated GROUP BY GROUPING SETS ((), (cohort))
"""
_MILESTONE = """
count(at{place}) AS reached{place}, count(at{place} - {previous}) AS both{place},
percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY {days}) AS days{place},
percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY {step}) AS step{place}
"""


async def funnel_insight(scope: Scope) -> dict[str, Any]:
    """Per milestone the accounts that reached it, their share of those started, median and 90th percentile of the days
    from the start and, for those that reached both, from the milestone before. Only those that reached it are timed."""
    rows = await scope.rows(_steps(len(scope.plan.display_order)), **_ids(scope.plan.display_order))
    whole = next(row for row in rows if row.whole)
    # A cohort has one row; where there is but one cohort, that is the whole too.
    found = with_cohorts(
        scope,
        [row for row in rows if not row.whole],
        size=lambda row: int(row.accounts),
        shape=lambda of_cohort: _shape(scope, of_cohort[0] if len(of_cohort) == 1 else whole),
    )
    return {**scope.head(), "text": _text(scope, found["total"]), **found}


def _ids(order: Sequence[str]) -> dict[str, str]:
    return {f"id{place}": milestone for place, milestone in enumerate(order)}


def _steps(milestones: int) -> str:
    places = range(milestones)
    return _STEPS.format(
        dates=", ".join(f"CAST(reached ->> CAST(:id{place} AS text) AS bigint) AS at{place}" for place in places),
        milestones=", ".join(map(_milestone_columns, places)),
    )


def _milestone_columns(place: int) -> str:
    previous = f"at{place - 1}" if place else "NULL"
    # What came before the start counts as day 0; the product keeps an unknown date unknown.
    begun = f"greatest({previous}, start_ms + 0 * {previous})"
    days, step = _passed(f"at{place} - start_ms"), _passed(f"at{place} - {begun}")
    return _MILESTONE.format(place=place, previous=previous, days=days, step=step)


def _passed(milliseconds: str) -> str:
    # In plan days and at least 0, but unknown where either end is: greatest() alone would take 0 then.
    return f"greatest({milliseconds}, 0 * ({milliseconds})) / CAST(:day_ms AS float8)"


def _shape(scope: Scope, row: Any) -> dict[str, Any]:
    milestones = [
        {"id": one.id, "title": one.title, "required": one.required, **_milestone(row, place)}
        for place, one in enumerate(scope.plan.displayed())
    ]
    return {"accounts": row.accounts, "milestones": milestones}


def _milestone(row: Any, place: int) -> dict[str, Any]:
    reached, both, days, step = (getattr(row, f"{name}{place}") for name in ("reached", "both", "days", "step"))
    days, step = days or (None, None), step or (None, None)
    return {
        "reached": reached,
        "share": round(reached / row.accounts, 4) if row.accounts else 0.0,
        "median_days": rounded(days[0]),
        "p90_days": rounded(days[1]),
        "reached_both": both,
        "step_median_days": rounded(step[0]),
        "step_p90_days": rounded(step[1]),
    }


def _text(scope: Scope, total: dict[str, Any]) -> str:
    if not total["accounts"]:
        return f"{scope.nobody} has started yet."
    milestones = total["milestones"]
    required = [one for one in milestones if one["required"]]
    fewest = min(required, key=lambda one: one["share"])
    # The step to the first milestone begins at the start.
    steps = [(one["step_median_days" if one is not milestones[0] else "median_days"], one) for one in required]
    days, slow = max(steps, key=lambda step: step[0] or 0)
    text = (
        f"Of {accounts_text(total['accounts'])} that started, {share_text(fewest['share'])} reached {fewest['title']}, "
        "the required milestone that the fewest reach."
    )
    if days:
        text += f" The longest step is to {slow['title']}: {days_text(days)} at the median."
    return text
