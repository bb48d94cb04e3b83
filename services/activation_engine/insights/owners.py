"""How the accounts of each owner fare."""

from __future__ import annotations

import asyncio
from typing import Any

from services.activation_engine.insights.activation import TIMES, activation_rate, curve_of, in_days
from services.activation_engine.insights.cohorts import grouped
from services.activation_engine.insights.scope import COHORTS_MAX, Scope
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
    by_owner = grouped(await scope.rows(_OWNERS.format(times=TIMES)), lambda row: row.owner)
    ordered = sorted(by_owner, key=lambda name: (-sum(row.accounts for row in by_owner[name]), name or ""))
    # In a thread, because curves of many accounts take some hundred milliseconds.
    owners = await asyncio.to_thread(
        lambda: [_owner(scope, name, by_owner[name]) for name in ordered[:COHORTS_MAX]],
    )
    head = {name: value for name, value in scope.head().items() if name != "by"}
    return {**head, "text": _text(owners), "owners": owners, "owners_left_out": len(ordered) - len(owners)}


def _owner(scope: Scope, name: str | None, rows: list[Any]) -> dict[str, Any]:
    return {
        "owner": name,
        **{column: sum(getattr(row, column) for row in rows) for column in _COUNTS},
        "activation_rate": activation_rate(scope.plan, rows),
        "median_days": in_days(curve_of(rows).quantile(0.5)),
    }


def _text(owners: list[dict[str, Any]]) -> str:
    if not owners:
        return "No account runs under this plan yet."
    troubled = max(owners, key=lambda one: one["at_risk"] + one["stalled"])
    count = troubled["at_risk"] + troubled["stalled"]
    whose = troubled["owner"] or "nobody in particular"
    if not count:
        return "No owner has an account that is at risk or stalled."
    return (
        f"Most help is needed where {whose} is responsible: "
        f"{count:,} of {accounts_text(troubled['accounts'])} {are(count)} at risk or stalled."
    )
