"""The catalogue of event names seen, over all partitions: how often, since when, used by which plans, gone silent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.timers import Hole, between
from services.activation_engine.domain.trackers import Selector
from services.activation_engine.reading.partitions import PartitionViews

_PARTS = sa.text("SELECT part FROM activation.partition_lease")
_NAMES = sa.text("""
SELECT name, CAST(sum(count) AS bigint) AS count, min(first_seen_ms) AS first_seen_ms, max(last_seen_ms) AS last_seen_ms
FROM activation.event_name
WHERE name > :after AND position(lower(:query) IN lower(name)) > 0
GROUP BY name ORDER BY name LIMIT :limit
""")
_NEWEST = sa.text("SELECT max(last_seen_ms) FROM activation.event_name")
# The engine remembers 10,000 names; this is more.
_ALL = 1_000_000

# A name is silent when a live plan uses it, it arrived at least daily over at least a week, and then not for three days
# in which other events did. Days are those of the shortest plan that uses it; holes do not count.
KNOWN_DAYS = 7
SILENT_DAYS = 3


@dataclass(frozen=True, slots=True)
class EventName:
    """One name as sent; times are append times in milliseconds, `used_by` the ids of live plans. `mentioned` is true
    too when a plan only says that such events are no activity. `ago_ms` is the log time, without holes, from its last
    event to the newest of any name."""

    name: str
    count: int
    first_seen_ms: int
    last_seen_ms: int
    used_by: tuple[str, ...]
    mentioned: bool
    silent: bool
    ago_ms: int


@dataclass(frozen=True, slots=True)
class PlanUse:
    """The names and name prefixes that a live plan asks for, those that it excludes from activity, and the length of
    its day in milliseconds."""

    plan: str
    day_ms: int
    names: frozenset[str]
    prefixes: tuple[str, ...]
    excluded: Selector

    def has(self, name: str) -> bool:
        """Whether the plan uses events of this name; using every event mentions none."""
        return name in self.names or name.startswith(self.prefixes)


def plan_use(plan: Plan) -> PlanUse:
    """What a plan's conditions ask for."""
    selectors = [leaf.tracker.selector for leaf in plan.leaves() if not leaf.tracker.selector.everything]
    names = frozenset(name for one in selectors for name in one.names)
    prefixes = tuple({prefix for one in selectors for prefix in one.prefixes})
    return PlanUse(plan.id, plan.day_ms, names, prefixes, plan.activity.excluded)


@dataclass(frozen=True, slots=True)
class Uses:
    """What live plans use, and the log time by which silence is judged: that of the newest event of any name."""

    plans: Sequence[PlanUse]
    holes: Sequence[Hole]
    newest_ms: int

    def seen(self, row: Any) -> EventName:
        """The name with what is known of it here."""
        users = [one for one in self.plans if one.has(row.name)]
        ago_ms = between(row.last_seen_ms, self.newest_ms, self.holes)
        silent = bool(users) and self._is_silent(row, ago_ms, min(one.day_ms for one in users))
        used_by = tuple(sorted({one.plan for one in users}))
        mentioned = bool(users) or any(one.excluded.names_it(row.name) for one in self.plans)
        return EventName(row.name, row.count, row.first_seen_ms, row.last_seen_ms, used_by, mentioned, silent, ago_ms)

    def _is_silent(self, row: Any, ago_ms: int, day_ms: int) -> bool:
        known_ms = between(row.first_seen_ms, row.last_seen_ms, self.holes)
        daily = known_ms >= KNOWN_DAYS * day_ms and row.count * day_ms >= known_ms
        return daily and ago_ms >= SILENT_DAYS * day_ms


class EventNames:
    """Reads the catalogue; each call sees one snapshot of the database."""

    def __init__(self, engine: AsyncEngine, *, views: PartitionViews) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._views = views

    async def page(self, *, query: str, after: str, limit: int) -> list[EventName]:
        """At most `limit` names above `after` that contain `query` in whatever case, by name."""
        async with self._engine.connect() as connection:
            return await self._read(connection, query=query, after=after, limit=limit)

    async def all(self) -> list[EventName]:
        """Every name, by name."""
        return await self.page(query="", after="", limit=_ALL)

    async def _read(self, connection: AsyncConnection, **values: Any) -> list[EventName]:
        rows = (await connection.execute(_NAMES, values)).all()
        parts = (await connection.execute(_PARTS)).scalars().all()
        views = await self._views.read(connection, parts)
        newest = await connection.scalar(_NEWEST)
        # Partitions mostly share their plans; their holes differ by seconds, and those of the first one serve.
        live = {id(one.plan): one.plan for view in views.values() for one in view.plans.live}
        holes = views[min(parts)].clock.holes if parts else ()
        uses = Uses([plan_use(plan) for plan in live.values()], holes, newest or 0)
        return await asyncio.to_thread(lambda: [uses.seen(row) for row in rows])
