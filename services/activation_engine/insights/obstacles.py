"""What accounts that are not activated wait for, for how long, and what they did last."""

from __future__ import annotations

from typing import Any

from services.activation_engine.domain.plan import Plan
from services.activation_engine.insights.cohorts import grouped
from services.activation_engine.insights.scope import Scope
from services.activation_engine.insights.wording import accounts_text, are, days_text, rounded

_LAST_EVENTS_MAX = 5

# Waiting began at the newest milestone that was reached, or at the start.
# One query, because going through the accounts is what takes the time: a row per place, then its most frequent events.
_WAITING = """
, waiting AS MATERIALIZED (
    SELECT status, last_event, array_position(CAST(:places AS text[]), waiting_for) AS place,
        greatest(0, clock_ms - greatest(start_ms, {newest})) / :day_ms AS days
    FROM accounts WHERE started AND status NOT IN ('activated', 'closed', 'paused')
), ranked AS (
    SELECT place, last_event, count(*) AS accounts,
        row_number() OVER (PARTITION BY place ORDER BY count(*) DESC, last_event) AS rank
    FROM waiting WHERE last_event IS NOT NULL GROUP BY place, last_event
)
SELECT place, 0 AS rank, NULL AS last_event, count(*) AS accounts,
    count(*) FILTER (WHERE status = 'at_risk') AS at_risk, count(*) FILTER (WHERE status = 'stalled') AS stalled,
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY days) AS days
FROM waiting WHERE place IS NOT NULL GROUP BY place
UNION ALL
SELECT place, rank, last_event, accounts, 0, 0, NULL FROM ranked WHERE place IS NOT NULL AND rank <= :events_max
ORDER BY place, rank
"""


async def obstacles_insight(scope: Scope) -> dict[str, Any]:
    """Over started accounts that are neither activated, paused nor closed, in due order of what they wait for."""
    order = due_order(scope.plan)
    ids = {f"m{place}": milestone for place, milestone in enumerate(order)}
    newest = ", ".join(f"CAST(reached ->> CAST(:{name} AS text) AS float8)" for name in ids)
    query = _WAITING.format(newest=newest)
    found_rows = await scope.rows(query, **ids, places=order, events_max=_LAST_EVENTS_MAX)
    rows = grouped(found_rows, lambda row: int(row.place))
    found = [_obstacle(scope.plan, order[place - 1], counts, events) for place, (counts, *events) in rows.items()]
    accounts = sum(one["accounts"] for one in found)
    return {**scope.head(), "text": _text(scope, accounts, found), "accounts": accounts, "obstacles": found}


def due_order(plan: Plan) -> list[str]:
    """The required milestones by nominal due time, those without one last, otherwise as in the plan file."""
    required = [one for one in plan.displayed() if one.required]
    return [one.id for one in sorted(required, key=lambda one: one.due.nominal_ms if one.due else float("inf"))]


def _obstacle(plan: Plan, milestone: str, row: Any, events: list[Any]) -> dict[str, Any]:
    return {
        "milestone": milestone,
        "title": plan.milestone(milestone).title,
        "accounts": row.accounts,
        "at_risk": row.at_risk,
        "stalled": row.stalled,
        "waiting_median_days": rounded(row.days[0]),
        "waiting_p90_days": rounded(row.days[1]),
        "last_events": [{"event": one.last_event, "accounts": one.accounts} for one in events],
    }


def _text(scope: Scope, accounts: int, found: list[dict[str, Any]]) -> str:
    if not found:
        return f"{scope.nobody} is on the way."
    most = max(found, key=lambda one: one["accounts"])
    troubled = most["at_risk"] + most["stalled"]
    wait = "waits" if most["accounts"] == 1 else "wait"
    text = (
        f"{most['accounts']:,} of {accounts_text(accounts)} on the way {wait} for {most['title']}, "
        f"for {days_text(most['waiting_median_days'])} at the median; "
        f"{troubled:,} of them {are(troubled)} at risk or stalled."
    )
    if most["last_events"]:
        text += f" What they did last most often: {most['last_events'][0]['event']}."
    longest = max(found, key=lambda one: one["waiting_median_days"])
    if longest is not most:
        text += (
            f" The longest wait is for {longest['title']}, {days_text(longest['waiting_median_days'])} at the median."
        )
    return text
