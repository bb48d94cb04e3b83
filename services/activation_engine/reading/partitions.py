"""Partitions as readers see them: how far each is, which plan versions it has adopted, what its clock says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.plans.registry import RETIRED, PlanMemory

_NEXT_OFFSETS = sa.text("SELECT part, next_offset FROM activation.partition_lease")
_ADOPTED = sa.text("SELECT part, plan, max(version) FROM activation.partition_plan GROUP BY part, plan")
_PROGRESS = sa.text(
    "SELECT part, owner, stopped, next_offset, last_append_ms, clock_ms, hold_until_ms, out_seq, published_seq,"
    " extract(epoch FROM now()) * 1000 - last_append_ms AS behind_ms FROM activation.partition_lease ORDER BY part"
)
# What a view is made of: the clock of `lease`, and the newest version of each plan that its partition adopted.
VIEW_COLUMNS = (
    "lease.part, lease.clock_ms, lease.last_event_at_ms, lease.holes, lease.hold_until_ms,"
    " (SELECT json_agg(json_build_array(plan, version, live_from_ms, newest.policy, hash) ORDER BY plan) FROM ("
    "SELECT DISTINCT ON (plan) plan, version, live_from_ms, policy FROM activation.partition_plan"
    " WHERE partition_plan.part = lease.part ORDER BY plan, version DESC) AS newest"
    " JOIN activation.plan_version USING (plan, version)) AS adopted"
)
_VIEWS = sa.text(
    f"SELECT {VIEW_COLUMNS} FROM activation.partition_lease AS lease WHERE part = ANY(CAST(:parts AS integer[]))"  # noqa: S608 - of constants
)


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far a partition is; `stopped` says why when it does not go on, `behind_ms` is by the database's time."""

    part: int
    owner: str | None
    stopped: str | None
    next_offset: int
    last_append_ms: int | None
    clock_ms: int | None
    hold_until_ms: int
    out_seq: int
    published_seq: int
    behind_ms: float | None


@dataclass(frozen=True, slots=True)
class PartitionView:
    """What a partition judges its accounts by."""

    plans: PlanSet
    clock: PartitionClock


async def next_offsets(engine: AsyncEngine) -> dict[int, int]:
    """For each partition, the offset of the first record that is not applied yet."""
    async with engine.connect() as connection:
        return {part: offset for part, offset in await connection.execute(_NEXT_OFFSETS)}  # noqa: C416 - rows


async def adopted_versions(engine: AsyncEngine) -> dict[str, dict[int, int]]:
    """For each plan, the newest version that each partition has adopted."""
    adopted: dict[str, dict[int, int]] = {}
    async with engine.connect() as connection:
        for part, plan, version in await connection.execute(_ADOPTED):
            adopted.setdefault(plan, {})[part] = version
    return adopted


async def all_progress(engine: AsyncEngine) -> list[PartitionProgress]:
    """Every partition, in order."""
    async with engine.connect() as connection:
        return [PartitionProgress(*row) for row in await connection.execute(_PROGRESS)]


class PartitionViews:
    """Reads views; plan sets are kept, since partitions mostly share one and it changes only with a publication."""

    _KEPT_MAX = 64

    def __init__(self, plans: PlanMemory) -> None:
        self._plans = plans
        self._sets: dict[tuple[tuple[Any, ...], ...], PlanSet] = {}

    async def read(self, connection: AsyncConnection, parts: Collection[int]) -> Mapping[int, PartitionView]:
        """The views of `parts`, as of the connection's snapshot."""
        rows = (await connection.execute(_VIEWS, {"parts": sorted(parts)})).all()
        return {row.part: await self.of(connection, row) for row in rows}

    async def of(self, connection: AsyncConnection, row: Any) -> PartitionView:
        """The view that a row with VIEW_COLUMNS describes; the connection is asked for plans that are not known."""
        live = tuple(tuple(one) for one in row.adopted or () if one[3] != RETIRED)
        return PartitionView(await self._plan_set(connection, live), _clock(row))

    async def _plan_set(self, connection: AsyncConnection, live: tuple[tuple[Any, ...], ...]) -> PlanSet:
        found = self._sets.get(live)
        if found is None:
            plans = await self._plans.get(connection, [(plan, version) for plan, version, *_ in live])
            found = PlanSet.of(
                LivePlan(plans[plan, version], version, live_from_ms, policy)
                for plan, version, live_from_ms, policy, _ in live
            )
            if len(self._sets) >= self._KEPT_MAX:
                self._sets.clear()
            self._sets[live] = found
        return found


def _clock(row: Any) -> PartitionClock:
    return PartitionClock(
        clock_ms=row.clock_ms,
        last_event_at_ms=row.last_event_at_ms,
        holes=tuple((start, end) for start, end in row.holes),
        hold_until_ms=row.hold_until_ms,
    )
