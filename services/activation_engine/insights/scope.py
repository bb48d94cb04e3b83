"""Which accounts an insight is about, and the SQL that the insights begin with: one row per account under the plan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.activation_engine.domain.instants import rfc3339_or_none
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.rows import days_key
from services.activation_engine.plans.registry import PlanMemory
from services.activation_engine.reading.names import require_names

CohortBy = Literal["month", "segment", "owner"]
# Cohorts of one answer; the smallest are left out beyond.
COHORTS_MAX = 200

_LIVE = sa.text("""
SELECT plan, version FROM (
    SELECT DISTINCT ON (plan) plan, version, policy FROM activation.partition_plan ORDER BY plan, version DESC
) AS newest WHERE policy <> 'retired' ORDER BY plan
""")
# A hundred thousand rows are sorted in memory, and compiling such queries takes longer than it saves.
_TUNE = sa.text("SELECT set_config('work_mem', '32MB', true), set_config('jit', 'off', true)")
# The oldest clock: up to it everything is counted.
_AS_OF = sa.text("SELECT min(clock_ms) FROM activation.partition_lease")
_COHORTS = {
    # Its first instant: text takes half as long again.
    "month": "date_trunc('month', p.started_at AT TIME ZONE 'UTC')",
    "segment": "p.segment",
    "owner": "a.owner",
}
# Each account is seen as of its partition's clock. `days` are plan days, at least 0, from the start to first value, or
# where that is not reached to the closing or the clock; the partition's holes and the account's pauses do not count.
# Both joins find one row each, as the keys and GROUP BY tell the planner: it leaves out those of which a query wants
# nothing, and with them a pass over the facts of all accounts. LIMIT ALL keeps this a subquery: of what it computes the
# planner expects few different values, not a month per account, and has several processes count rather than one sort.
# (OFFSET 0 would too, but in one process.)
_ACCOUNTS = """
WITH accounts AS (
    SELECT p.status, p.reached, CASE WHEN p.version = :version THEN p.features END AS features,
        p.segment, p.waiting_for,
        a.owner, a.last_event, a.active_days -> CAST(:days_key AS text) AS active_days,
        clock.clock_ms, {cohort} AS cohort,
        p.started_at <= clock.now AS started,
        date_part('epoch', p.started_at) * 1000 AS start_ms,
        p.first_value_at IS NOT NULL AS valued,
        (until_ms - begun_ms - CASE
            WHEN isempty(still) OR NOT still && span THEN 0
            ELSE (SELECT CAST(sum(upper(one) - lower(one)) AS bigint) FROM unnest(still * span) AS one)
        END) / CAST(:day_ms AS float8) AS days
    FROM activation.account_plan AS p
    LEFT JOIN activation.account AS a USING (account_id)
    LEFT JOIN (
        SELECT part, clock_ms, to_timestamp(clock_ms / 1000.0) AS now, (
            SELECT coalesce(range_agg(int8range(CAST(hole ->> 0 AS bigint), CAST(hole ->> 1 AS bigint))), '{{}}')
            FROM jsonb_array_elements(holes) AS hole
        ) AS holes
        FROM activation.partition_lease GROUP BY part
    ) AS clock USING (part)
    CROSS JOIN LATERAL (SELECT {start} AS begun_ms, greatest({start}, {until}) AS until_ms) AS watched
    CROSS JOIN LATERAL (SELECT int8multirange(int8range(begun_ms, until_ms)) AS span,
        CASE WHEN p.paused IS NULL THEN clock.holes ELSE clock.holes + p.paused END AS still
    ) AS counted
    WHERE p.plan = :plan {conditions}
    LIMIT ALL
)
"""
_START_MS, _UNTIL_MS = (
    f"CAST(date_part('epoch', {moment}) * 1000 AS bigint)"
    for moment in ("p.started_at", "coalesce(p.first_value_at, p.closed_at, clock.now)")
)
_CONDITIONS = {
    "segment": "p.segment = :segment",
    "owner": "a.owner = :owner",
    "started_from_ms": "p.started_at >= to_timestamp(:started_from_ms / 1000.0)",
    "started_to_ms": "p.started_at < to_timestamp(:started_to_ms / 1000.0)",
}


class PlanUnclear(Exception):
    """No plan was named and not exactly one is live; `live` are the ids to choose from."""

    def __init__(self, live: Sequence[str]) -> None:
        super().__init__(f"{len(live)} plans are live")
        self.live = tuple(live)


class PlanNotLive(Exception):
    """The plan that was named is not live; `live` are the ids to choose from."""

    def __init__(self, live: Sequence[str]) -> None:
        super().__init__("not live")
        self.live = tuple(live)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which accounts: of `plan` (None: of the only live one), of a segment, of an owner, started from (included) to
    (excluded) these milliseconds; and what makes a cohort."""

    plan: str | None = None
    segment: str | None = None
    owner: str | None = None
    started_from_ms: int | None = None
    started_to_ms: int | None = None
    by: CohortBy = "month"


@dataclass(frozen=True, slots=True)
class Scope:
    """One snapshot of the database, the plan that is asked about, and the accounts that are wanted."""

    connection: AsyncConnection
    plan: Plan
    version: int
    as_of_ms: int | None
    wanted: Wanted

    def head(self) -> dict[str, Any]:
        """What every insight says first."""
        return {
            "as_of": rfc3339_or_none(self.as_of_ms),
            "plan": self.plan.id,
            "version": self.version,
        }

    @property
    def nobody(self) -> str:
        """The subject of a sentence that says of the wanted accounts that there are none."""
        return "No such account" if self._filters else "No account"

    @property
    def _filters(self) -> dict[str, Any]:
        return {name: value for name in _CONDITIONS if (value := getattr(self.wanted, name)) is not None}

    async def rows(self, query: str, **values: Any) -> Sequence[Any]:
        """Rows of a query `FROM accounts`."""
        given = self._filters
        conditions = "".join(f" AND {_CONDITIONS[name]}" for name in given)
        accounts = _ACCOUNTS.format(
            cohort=_COHORTS[self.wanted.by], conditions=conditions, start=_START_MS, until=_UNTIL_MS
        )
        bound = {
            **given,
            **values,
            "plan": self.plan.id,
            "version": self.version,
            "day_ms": self.plan.day_ms,
            "days_key": days_key(self.plan.activity.id, self.plan.day_ms),
        }
        return (await self.connection.execute(sa.text(accounts + query), bound)).all()


class Scopes:
    """Opens scopes on a pool for reading."""

    def __init__(self, engine: AsyncEngine, *, plans: PlanMemory) -> None:
        # All queries of one answer see the same moment.
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._plans = plans

    @asynccontextmanager
    async def open(self, wanted: Wanted) -> AsyncIterator[Scope]:
        """The scope of what is wanted. Raises PlanUnclear, PlanNotLive or NameUnknown."""
        async with self._engine.connect() as connection:
            await connection.execute(_TUNE)
            live = {row.plan: row.version for row in await connection.execute(_LIVE)}
            plan = _chosen(wanted.plan, live)
            version = live[plan]
            content = (await self._plans.get(connection, [(plan, version)]))[plan, version]
            require_names([content], segment=wanted.segment)
            yield Scope(connection, content, version, await connection.scalar(_AS_OF), wanted)


def _chosen(named: str | None, live: Mapping[str, int]) -> str:
    if named is None and len(live) == 1:
        return next(iter(live))
    if named is None:
        raise PlanUnclear(list(live))
    if named not in live:
        raise PlanNotLive(list(live))
    return named
