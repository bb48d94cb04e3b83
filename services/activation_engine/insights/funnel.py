"""The milestones in the plan's order: how many accounts reached each, and how long that took."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.survival import percentiles
from services.activation_engine.insights.cohorts import with_cohorts
from services.activation_engine.insights.scope import Scope
from services.activation_engine.insights.times import in_days, received, sent
from services.activation_engine.insights.wording import accounts_text, days_text, share_text

# One pass over the accounts with two columns per milestone: a row per account and milestone takes twice as long. LIMIT
# ALL has each date read out of JSON once, and not for each of its uses.
_STEPS = """
, dated AS (SELECT cohort, {dates} FROM accounts WHERE started LIMIT ALL)
, passed AS (SELECT cohort, {passed} FROM dated LIMIT ALL)
SELECT cohort, count(*) AS accounts, {times} FROM passed GROUP BY cohort
"""
# In milliseconds since the start. What came before it counts as day 0; the unknown, which greatest() would take for 0,
# stays unknown.
_DATE = "CAST(reached ->> CAST(:id{0} AS text) AS bigint) - CAST(start_ms AS bigint) AS date{0}"
_PASSED = "CASE WHEN date{0} < 0 THEN 0 ELSE date{0} END AS passed{0}"


async def funnel_insight(scope: Scope) -> dict[str, Any]:
    """Per milestone the accounts that reached it, their share of those started, median and 90th percentile of the days
    from the start and, for those that reached both, from the milestone before. Only those that reached it are timed."""
    rows = await scope.rows(_steps(len(scope.plan.display_order)), **_ids(scope.plan.display_order))
    # In a thread, because percentiles of many accounts take some hundred milliseconds.
    found = await asyncio.to_thread(
        with_cohorts, scope, rows, size=lambda row: int(row.accounts), shape=partial(_shape, scope.plan)
    )
    return {**scope.head(), "text": _text(scope, found["total"]), **found}


def _ids(order: Sequence[str]) -> dict[str, str]:
    return {f"id{place}": milestone for place, milestone in enumerate(order)}


def _steps(milestones: int) -> str:
    places = range(milestones)
    return _STEPS.format(
        dates=", ".join(map(_DATE.format, places)),
        passed=", ".join(map(_PASSED.format, places)),
        times=", ".join(map(_times, places)),
    )


def _times(place: int) -> str:
    passed, before = f"passed{place}", f"passed{place - 1}" if place else "NULL"
    step = f"CASE WHEN {passed} < {before} THEN 0 ELSE {passed} - {before} END"
    return f"{sent(_days(passed))} AS days{place}, {sent(_days(step))} AS step{place}"


def _days(milliseconds: str) -> str:
    return f"{milliseconds} / CAST(:day_ms AS float8)"


def _shape(plan: Plan, rows: Sequence[Any]) -> dict[str, Any]:
    accounts = sum(row.accounts for row in rows)
    milestones = [
        {"id": one.id, "title": one.title, "required": one.required, **_milestone(rows, place, accounts)}
        for place, one in enumerate(plan.displayed())
    ]
    return {"accounts": accounts, "milestones": milestones}


def _milestone(rows: Sequence[Any], place: int, accounts: int) -> dict[str, Any]:
    days, step = (received(getattr(row, f"{name}{place}") for row in rows) for name in ("days", "step"))
    (median, p90), (step_median, step_p90) = (map(in_days, percentiles(times, 0.5, 0.9)) for times in (days, step))
    return {
        "reached": len(days),
        "share": round(len(days) / accounts, 4) if accounts else 0.0,
        "median_days": median,
        "p90_days": p90,
        "reached_both": len(step),
        "step_median_days": step_median,
        "step_p90_days": step_p90,
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
