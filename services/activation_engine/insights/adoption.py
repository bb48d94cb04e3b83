"""How much of the product accounts use, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from services.activation_engine.domain.plan import Plan
from services.activation_engine.insights.cohorts import with_cohorts
from services.activation_engine.insights.scope import Scope
from services.activation_engine.insights.wording import accounts_text, are, rounded, share_text

# Active days of the last 30 plan days: none is 0, low 1-4, medium 5-12, high 13 and more.
BANDS = ("none", "low", "medium", "high")

# `active_days` is the newest active day's number and a bitmap that has its lowest bit there. Shifted left by the days
# that have passed since, bit n is the day n days ago; a shift to the left by 66 more then drops what is older than 30
# of the 96 days. (A negative shift goes the other way and drops days that lie ahead of the clock.) Days are whole,
# and `day_ms` comes as a float.
_USE = """
, used AS (
    SELECT cohort, features, coalesce(bit_count(
        CAST('x' || lpad(active_days ->> 1, 24, '0') AS bit(96))
            << CAST(least(clock_ms / CAST(:day_ms AS bigint) - CAST(active_days ->> 0 AS bigint), 96) AS int) << 66
    ), 0) AS days
    FROM accounts WHERE started AND status <> 'closed'
)
SELECT cohort, features, CASE WHEN days >= 13 THEN 'high' WHEN days >= 5 THEN 'medium' WHEN days >= 1 THEN 'low'
    ELSE 'none' END AS band, count(*) AS accounts
FROM used GROUP BY 1, 2, 3
"""


async def adoption_insight(scope: Scope) -> dict[str, Any]:
    """Over started accounts that are not closed: how many have each adoption (0 to 1), its mean, how many use each core
    feature, and how many are active how often. Accounts that were not judged by the live version yet, which takes a
    tick, have no adoption."""
    shape = partial(_shape, scope.plan)
    found = with_cohorts(scope, await scope.rows(_USE), size=lambda row: int(row.accounts), shape=shape)
    return {**scope.head(), "text": _text(scope, found["total"]), **found}


def _shape(plan: Plan, rows: Sequence[Any]) -> dict[str, Any]:
    adoptions: Counter[float] = Counter()
    users: Counter[int] = Counter()
    bands: Counter[str] = Counter(dict.fromkeys(BANDS, 0))
    for row in rows:
        bands[row.band] += row.accounts
        if row.features is not None and plan.core_features:
            adoptions[plan.adoption_of(row.features)] += row.accounts
            users.update(dict.fromkeys(_used(row.features), row.accounts))
    total = adoptions.total()
    mean = sum(share * count for share, count in adoptions.items()) / total if total else None
    return {
        "accounts": bands.total(),
        "mean_adoption": rounded(mean, 4),
        "distribution": [{"adoption": round(share, 4), "accounts": adoptions[share]} for share in sorted(adoptions)],
        "features": [
            {
                "feature": one.text,
                "accounts": users[number],
                "share": rounded(users[number] / total, 4) if total else None,
            }
            for number, one in enumerate(plan.core_features)
        ],
        "bands": dict(bands),
    }


def _used(features: bytes) -> list[int]:
    bits = int.from_bytes(features, "little")
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def _text(scope: Scope, total: dict[str, Any]) -> str:
    if not total["accounts"]:
        return f"{scope.nobody} has started yet."
    bands = total["bands"]
    often = (
        f"Of {accounts_text(total['accounts'])}, {bands['high']:,} {are(bands['high'])} active on 13 or more of the "
        f"last 30 days and {bands['none']:,} on none."
    )
    if not total["features"]:
        return f"{often} The plan names no core features, so that adoption is not known."
    if total["mean_adoption"] is None:
        return f"{often} By version {scope.version} of the plan nobody's adoption is known yet."
    return f"{often} On average an account uses {share_text(total['mean_adoption'])} of the core features."
