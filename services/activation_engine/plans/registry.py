"""Plan versions in PostgreSQL: publishing a new one, and reading those that exist. A version never changes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.activation_engine.domain.plan import Plan
from services.activation_engine.plans.loader import CheckedPlan, plan_from_content

PLANS_MAX = 200

Policy = Literal["silent", "emit"]
# A version of this policy has no content: by it the plan ends, partition by partition, as others begin.
RETIRED = "retired"

# Any constant: one publication at a time, so that numbers are unique and the limit on plans holds.
_PUBLISHING_LOCK = 0x66765F706C616E

_LOCK = sa.text("SELECT pg_advisory_xact_lock(:key)")
_NEWEST_OF_PLAN = sa.text(
    "SELECT version, hash, policy FROM activation.plan_version WHERE plan = :plan ORDER BY version DESC LIMIT 1"
)
_COUNT_OTHERS = sa.text(
    "SELECT count(*) FROM (SELECT DISTINCT ON (plan) plan, policy FROM activation.plan_version WHERE plan <> :plan"
    " ORDER BY plan, version DESC) AS newest WHERE policy <> 'retired'"
)
_INSERT = sa.text(
    "INSERT INTO activation.plan_version (plan, version, hash, title, policy, content, source)"
    " VALUES (:plan, :version, :hash, :title, :policy, CAST(:content AS json), :source)"
)

_COLUMNS = "plan, version, hash, title, policy, published_at"
_NEWEST = sa.text(
    f"SELECT {_COLUMNS} FROM (SELECT DISTINCT ON (plan) {_COLUMNS} FROM activation.plan_version"  # noqa: S608 - constants
    " WHERE plan > :after ORDER BY plan, version DESC) AS newest WHERE policy <> 'retired' ORDER BY plan LIMIT :limit"
)
_VERSIONS = sa.text(
    f"SELECT {_COLUMNS} FROM activation.plan_version WHERE plan = :plan ORDER BY version DESC LIMIT :limit"  # noqa: S608
)
_VERSION = sa.text(
    f"SELECT {_COLUMNS}, content, source FROM activation.plan_version WHERE plan = :plan AND version = :version"  # noqa: S608
)
_CONTENTS = sa.text(
    "SELECT plan, version, hash, content FROM activation.plan_version"
    " JOIN unnest(CAST(:plans AS text[]), CAST(:versions AS integer[]), CAST(:hashes AS text[]))"
    " AS wanted(plan, version, known) USING (plan, version) WHERE hash <> known"
)


class TooManyPlans(Exception):
    """PLANS_MAX plans are live already; one has to be retired first."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did; `changed` is False when the content was the newest version's already."""

    plan: str
    version: int
    hash: str
    changed: bool


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """One published version, without its content."""

    plan: str
    version: int
    hash: str
    title: str
    policy: Policy | Literal["retired"]
    published_at: datetime


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """One published version with its checked content and the YAML text that it was published as."""

    head: PlanVersion
    content: dict[str, Any]
    source: str


async def publish(engine: AsyncEngine, checked: CheckedPlan, *, source: str, policy: Policy) -> Published:
    """Store `checked` as the next version of its plan, unless it is the newest already. Raises TooManyPlans."""
    plan = checked.plan.id
    async with engine.begin() as connection:
        await connection.execute(_LOCK, {"key": _PUBLISHING_LOCK})
        newest = (await connection.execute(_NEWEST_OF_PLAN, {"plan": plan})).one_or_none()
        live = newest is not None and newest.policy != RETIRED
        if newest is not None and live and newest.hash == checked.hash:
            return Published(plan, newest.version, newest.hash, changed=False)
        if not live and await connection.scalar(_COUNT_OTHERS, {"plan": plan}) >= PLANS_MAX:
            raise TooManyPlans
        version = newest.version + 1 if newest is not None else 1
        values = {"plan": plan, "version": version, "hash": checked.hash, "title": checked.title, "policy": policy}
        await connection.execute(_INSERT, {**values, "content": json.dumps(checked.content), "source": source})
    return Published(plan, version, checked.hash, changed=True)


async def retire(engine: AsyncEngine, plan: str) -> Published | None:
    """End a plan by a last version, unless it has ended already; None when there is no such plan."""
    async with engine.begin() as connection:
        await connection.execute(_LOCK, {"key": _PUBLISHING_LOCK})
        newest = (await connection.execute(_NEWEST_OF_PLAN, {"plan": plan})).one_or_none()
        if newest is None:
            return None
        if newest.policy == RETIRED:
            return Published(plan, newest.version, newest.hash, changed=False)
        values = {"plan": plan, "version": newest.version + 1, "hash": "", "title": "", "policy": RETIRED}
        await connection.execute(_INSERT, {**values, "content": "{}", "source": ""})
    return Published(plan, newest.version + 1, "", changed=True)


async def newest_versions(connection: AsyncConnection, *, after: str = "", limit: int = PLANS_MAX) -> list[PlanVersion]:
    """The newest version of each live plan with an id above `after`, by plan id: what partitions have to adopt."""
    rows = await connection.execute(_NEWEST, {"after": after, "limit": limit})
    return [PlanVersion(*row) for row in rows]


async def versions_of(connection: AsyncConnection, plan: str, *, limit: int) -> list[PlanVersion]:
    """The newest `limit` versions of `plan`, newest first; empty when there is no such plan."""
    rows = await connection.execute(_VERSIONS, {"plan": plan, "limit": limit})
    return [PlanVersion(*row) for row in rows]


async def read_version(connection: AsyncConnection, plan: str, version: int) -> PlanDocument | None:
    """One version whole, or None."""
    row = (await connection.execute(_VERSION, {"plan": plan, "version": version})).one_or_none()
    if row is None:
        return None
    *head, content, source = row
    return PlanDocument(PlanVersion(*head), content, source)


class PlanMemory:
    """Compiled plan versions by (plan, version), read again only when another one was published under that number: a
    failover may lose a publication."""

    _KEPT_MAX = 4 * PLANS_MAX

    def __init__(self) -> None:
        # With the hash that each was published under; a later release may find another one for the same content.
        self._plans: dict[tuple[str, int], tuple[str, Plan]] = {}

    async def get(
        self, connection: AsyncConnection, wanted: Collection[tuple[str, int]]
    ) -> Mapping[tuple[str, int], Plan]:
        """The plans for all `wanted`; KeyError when one does not exist."""
        found = {key: self._plans[key] for key in wanted if key in self._plans}
        values = {
            "plans": [plan for plan, _ in wanted],
            "versions": [version for _, version in wanted],
            "hashes": [found[key][0] if key in found else "" for key in wanted],
        }
        for row in await connection.execute(_CONTENTS, values):
            found[row.plan, row.version] = row.hash, plan_from_content(row.content).plan
        if len(self._plans) > self._KEPT_MAX:
            self._plans.clear()
        self._plans |= found
        return {key: found[key][1] for key in wanted}
