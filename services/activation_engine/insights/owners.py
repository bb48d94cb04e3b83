"""How the accounts of each owner fare."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from services.activation_engine.insights.activation import TIMES, activation_rate, curve_of
from services.activation_engine.insights.cohorts import grouped
from services.activation_engine.insights.scope import COHORTS_MAX, Scope
from services.activation_engine.insights.times import in_days
from services.activation_engine.insights.wording import accounts_text, are

_OWNERS = """
SELECT owner COLLATE "C" AS owner, segment, count(*) AS accounts, {times},
    count(*) FILTER (WHERE status = 'activated') AS activated, count(*) FILTER (WHERE status = 'at_risk') AS at_risk,
    count(*) FILTER (WHERE status = 'stalled') AS stalled
FROM accounts GROUP BY 1, 2
"""
_COUNTS = ("accounts", "started", "activated", "at_risk", "stalled")


async def owners_insight(scope: Scope) -> dict[str, Any]:
    """Owners with most accounts first; the owner null stands for accounts without one."""
    rows = await scope.rows(_OWNERS.format(times=TIMES))
    # In a thread, because curves of many accounts take some hundred milliseconds.
    return {**scope.head(), **await asyncio.to_thread(_compared, scope, rows)}


def _compared(scope: Scope, rows: Sequence[Any]) -> dict[str, Any]:
    by_owner = grouped(rows, lambda row: row.owner)
    counts = [{"owner": name, **_counts(of_owner)} for name, of_owner in by_owner.items()]
    counts.sort(key=lambda one: (-one["accounts"], one["owner"] or ""))
    owners = [{**one, **_timing(scope, by_owner[one["owner"]])} for one in counts[:COHORTS_MAX]]
    return {"text": _text(scope, counts), "owners": owners, "owners_left_out": len(counts) - len(owners)}


def _counts(rows: list[Any]) -> dict[str, int]:
    return {column: sum(getattr(row, column) for row in rows) for column in _COUNTS}


def _timing(scope: Scope, rows: list[Any]) -> dict[str, Any]:
    return {
        "activation_rate": activation_rate(scope.plan, rows),
        "median_days": in_days(curve_of(rows).quantile(0.5)),
    }


def _text(scope: Scope, owners: list[dict[str, Any]]) -> str:
    """Of all owners, also of those that are left out."""
    if not owners:
        return f"{scope.nobody} runs under this plan yet."
    troubled = max(owners, key=lambda one: one["at_risk"] + one["stalled"])
    count = troubled["at_risk"] + troubled["stalled"]
    whose = troubled["owner"] or "nobody in particular"
    if not count:
        return "No owner has an account that is at risk or stalled."
    return (
        f"Most help is needed where {whose} is responsible: "
        f"{count:,} of {accounts_text(troubled['accounts'])} {are(count)} at risk or stalled."
    )
