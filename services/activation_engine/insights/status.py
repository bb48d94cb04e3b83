"""How many accounts have each status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.activation_engine.domain.account import STATUSES
from services.activation_engine.insights.cohorts import with_cohorts
from services.activation_engine.insights.scope import Scope
from services.activation_engine.insights.wording import accounts_text, are

_COUNTS = "SELECT cohort, status, count(*) AS accounts FROM accounts GROUP BY cohort, status"


async def status_insight(scope: Scope) -> dict[str, Any]:
    """`statuses` of all accounts and by cohort; an account without a start is in the cohort null."""
    found = with_cohorts(scope, await scope.rows(_COUNTS), size=lambda row: int(row.accounts), shape=_shape)
    return {**scope.head(), "text": _text(scope, found["total"]), **found}


def _shape(rows: Sequence[Any]) -> dict[str, Any]:
    statuses = dict.fromkeys(STATUSES, 0)
    for row in rows:
        statuses[row.status] += row.accounts
    return {"accounts": sum(statuses.values()), "statuses": statuses}


def _text(scope: Scope, total: dict[str, Any]) -> str:
    if not total["accounts"]:
        return f"{scope.nobody} is under {scope.plan.id} yet."
    statuses = total["statuses"]
    activated, on_track = statuses["activated"], statuses["on_track"]
    at_risk, stalled = statuses["at_risk"], statuses["stalled"]
    return (
        f"{activated:,} of {accounts_text(total['accounts'])} under {scope.plan.id} {are(activated)} activated, "
        f"{on_track:,} {are(on_track)} on track. {at_risk:,} {are(at_risk)} at risk and {stalled:,} stalled."
    )
