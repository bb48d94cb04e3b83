"""Time to first value and activation rate over start cohorts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from services.activation_engine.insights.activation import TIMES, timing
from services.activation_engine.insights.cohorts import with_cohorts
from services.activation_engine.insights.scope import Scope
from services.activation_engine.insights.wording import accounts_text, days_text, share_text

_TIMES = "SELECT cohort, segment, {times} FROM accounts WHERE started GROUP BY cohort, segment"


async def ttfv_insight(scope: Scope) -> dict[str, Any]:
    """Kaplan-Meier over started accounts: those on the way count for as long as they were watched, those closed until
    they closed."""
    rows = await scope.rows(_TIMES.format(times=TIMES))
    # Curves of many accounts are some hundred milliseconds of work, during which others shall be served.
    found = await asyncio.to_thread(
        with_cohorts,
        scope,
        rows,
        size=lambda row: int(row.started),
        shape=partial(timing, scope.plan),
    )
    return {**scope.head(), "text": _text(scope, found["total"]), **found}


def _text(scope: Scope, total: dict[str, Any]) -> str:
    if not total["accounts"]:
        return f"{scope.nobody} has started yet."
    median, naive = total["median_days"], total["naive_median_days"]
    half = f"half of {accounts_text(total['accounts'])} reach first value within {days_text(median)}"
    if median is None:
        half = f"fewer than half of {accounts_text(total['accounts'])} have reached first value so far"
    flattering = "" if naive is None else f" Counting only those that did, it would seem {days_text(naive)}."
    return f"{_in_window(scope, total['activation_rate']['rate'])}{half}.{flattering}"


def _in_window(scope: Scope, rate: float | None) -> str:
    if rate is not None:
        return f"{share_text(rate)} reach first value within their window; "
    if any(segment.window_ms is not None for segment in scope.plan.segments.values()):
        return "Nobody was watched for a whole window yet; "
    return "The plan has no window; "
