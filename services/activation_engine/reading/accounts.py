"""Accounts as their partition sees them: the stored state beside the plans and the clock that judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import decode
from services.activation_engine.plans import registry
from services.activation_engine.plans.registry import PlanMemory
from services.activation_engine.reading.names import require_names
from services.activation_engine.reading.partitions import VIEW_COLUMNS, PartitionView, PartitionViews

_ONE = sa.text(
    f"SELECT account_id, facts, {VIEW_COLUMNS} FROM activation.account AS a"  # noqa: S608 - of constants
    " JOIN activation.partition_lease AS lease ON lease.part = a.part WHERE account_id = :account_id"
)
_PAGE = """
SELECT account_id, part, facts FROM activation.account AS a
WHERE account_id > :after {conditions}
ORDER BY account_id LIMIT :limit
"""
# What a filter asks of one row of an account under a plan.
_OF_PLAN = {
    "plan": "p.plan = :plan",
    "status": "p.status = :status",
    "segment": "p.segment = :segment",
    "milestone": "p.reached ? CAST(:milestone AS text)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Which accounts to list: those with a plan for which all that is given of `plan`, `status`, `segment` and
    `milestone` (one that is reached) holds; `owner` is the account's trait."""

    plan: str | None = None
    status: str | None = None
    segment: str | None = None
    milestone: str | None = None
    owner: str | None = None


class PlanUnknown(Exception):
    """No such plan was ever published; `live` are the ids of those that are and have not ended."""

    def __init__(self, live: Sequence[str]) -> None:
        super().__init__("never published")
        self.live = tuple(live)


@dataclass(frozen=True, slots=True)
class SeenAccount:
    """One account and what judges it."""

    state: AccountState
    view: PartitionView


class AccountReads:
    """Reads accounts; each call sees one snapshot of the database."""

    def __init__(self, engine: AsyncEngine, *, views: PartitionViews, plans: PlanMemory) -> None:
        # State, adopted versions and clock must be of the same moment: a state may name a version adopted just now.
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # One statement sees one moment by itself, and needs no transaction around it.
        self._statements = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._views = views
        self._plans = plans

    async def one(self, account_id: str) -> SeenAccount | None:
        """The account, or None when nothing was ever received for it."""
        async with self._statements.connect() as connection:
            row = (await connection.execute(_ONE, {"account_id": account_id})).one_or_none()
            if row is None:
                return None
            return SeenAccount(decode(row.account_id, row.facts), await self._views.of(connection, row))

    async def page(self, wanted: AccountFilter, *, after: str, limit: int) -> list[SeenAccount]:
        """At most `limit` accounts with ids above `after`, by id. Raises PlanUnknown, NameUnknown."""
        query, values = _page_query(wanted)
        async with self._engine.connect() as connection:
            await self._check(connection, wanted)
            rows = (await connection.execute(query, {**values, "after": after, "limit": limit})).all()
            views = await self._views.read(connection, {row.part for row in rows}) if rows else {}
        return [SeenAccount(decode(row.account_id, row.facts), views[row.part]) for row in rows]

    async def _check(self, connection: AsyncConnection, wanted: AccountFilter) -> None:
        """Raises PlanUnknown, or NameUnknown for what neither the plan, nor without one any live plan, has."""
        if wanted.plan is None and wanted.segment is None and wanted.milestone is None:
            return
        asked = await registry.newest_versions(connection)
        if wanted.plan is not None:
            # Also a plan that has ended: its last version but the one by which it did.
            newest = await registry.versions_of(connection, wanted.plan, limit=2)
            if not newest:
                raise PlanUnknown([one.plan for one in asked])
            asked = [one for one in newest if one.policy != registry.RETIRED][:1]
        plans = await self._plans.get(connection, [(one.plan, one.version) for one in asked])
        require_names(plans.values(), segment=wanted.segment, milestone=wanted.milestone)


def _page_query(wanted: AccountFilter) -> tuple[sa.TextClause, dict[str, str]]:
    given = {name: value for name in _OF_PLAN if (value := getattr(wanted, name)) is not None}
    conditions = ""
    if given:
        holds = " AND ".join(_OF_PLAN[name] for name in given)
        conditions += (
            f" AND EXISTS (SELECT FROM activation.account_plan p WHERE p.account_id = a.account_id AND {holds})"
        )
    if wanted.owner is not None:
        conditions += " AND owner = :owner"
        given["owner"] = wanted.owner
    return sa.text(_PAGE.format(conditions=conditions)), given
