"""Plans as the API sees them: publishing, waiting until every partition has adopted a version, reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.domain.plan import Plan
from services.activation_engine.plans import registry
from services.activation_engine.plans.advice import SeenName
from services.activation_engine.plans.loader import CheckedPlan
from services.activation_engine.plans.registry import PlanDocument, PlanMemory, PlanVersion, Policy, Published
from services.activation_engine.reading.event_names import plan_use
from services.activation_engine.reading.partitions import adopted_versions
from services.activation_engine.reading.shared_read import SharedRead

_LOOK_SECONDS = 0.05
VERSIONS_SHOWN_MAX = 100
# What came within so many plan days still comes: also what customers do once a quarter.
COMES_DAYS = 90


# Marks and waivers, and what other plans tracked for a milestone that is new here, are not in these rows.
_FALL_BACK = sa.text(
    "SELECT count(*) FROM activation.account_plan WHERE plan = :plan AND activated_at IS NOT NULL"
    " AND status <> 'closed' AND NOT reached ?& CAST(:required AS text[])"
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a publication does to accounts: the milestones with conditions that no live plan has had before, which
    therefore count only what comes from then on; those that are newly required, and the most activated accounts that
    may be activated no longer for them; of the version before, the milestones that are gone, and the events that come
    and that are asked for no more."""

    counts_from_publish: list[str] = field(default_factory=list)
    newly_required: list[str] = field(default_factory=list)
    fall_back_max: int = 0
    milestones_removed: list[str] = field(default_factory=list)
    events_dropped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AdoptedVersions:
    """What each partition has adopted; `partitions` is how many there are, 0 while that is not known."""

    by_plan: Mapping[str, Mapping[int, int]]
    partitions: int

    def everywhere(self, plan: str, version: int) -> bool:
        """Whether every partition judges by this version of `plan` or a newer one."""
        adopted = self.by_plan.get(plan, {})
        return self.partitions > 0 and all(adopted.get(part, 0) >= version for part in range(self.partitions))


def left_out(before: Plan, plan: Plan, seen: Iterable[SeenName]) -> tuple[list[str], list[str]]:
    """The milestones and the names of events that come, which the version before has and this one does not."""
    former, current = plan_use(before), plan_use(plan)
    coming = [one.name for one in seen if not one.silent and one.ago_ms < COMES_DAYS * before.day_ms]
    events = [one for one in coming if former.has(one) and not current.has(one)]
    return [one for one in before.display_order if one not in plan.by_id], events


class PlanPublisher:
    """Publishes and reads plans."""

    def __init__(
        self, engine: AsyncEngine, *, plans: PlanMemory, partitions: Callable[[], int], adoption_wait_seconds: float
    ) -> None:
        self._engine = engine
        self._plans = plans
        self._adoption_wait_seconds = adoption_wait_seconds
        self._partitions = partitions
        self._adopted = SharedRead(lambda: adopted_versions(engine), interval_seconds=_LOOK_SECONDS)

    async def publish(
        self, checked: CheckedPlan, *, source: str, policy: Policy, seen: Iterable[SeenName]
    ) -> tuple[Published, Effect]:
        """Store the version; what that did, given the event names that were sent. Raises registry.TooManyPlans."""
        effect = await self.effect_of(checked.plan, seen=seen)
        published = await registry.publish(self._engine, checked, source=source, policy=policy)
        return published, effect if published.changed else Effect()

    async def effect_of(self, plan: Plan, *, seen: Iterable[SeenName]) -> Effect:
        """What publishing a plan now would do to its accounts, given the event names that were sent."""
        async with self._engine.connect() as connection:
            newest = await registry.newest_versions(connection)
            live = await self._plans.get(connection, [(one.plan, one.version) for one in newest])
            trackers = {leaf.tracker.id for one in live.values() for leaf in one.leaves()}
            before = next((one for one in live.values() if one.id == plan.id), None)
            required = [one for one in plan.required if before is not None and one not in before.required]
            fall_back = 0
            if required:
                fall_back = await connection.scalar(_FALL_BACK, {"plan": plan.id, "required": required}) or 0
        effect = Effect(plan.counting_anew(trackers), required if fall_back else [], fall_back)
        if before is None:
            return effect
        milestones, events = left_out(before, plan, seen)
        return replace(effect, milestones_removed=milestones, events_dropped=events)

    async def retire(self, plan: str) -> Published | None:
        """End a plan; None when there is no such plan."""
        return await registry.retire(self._engine, plan)

    async def wait_until_live(self, plan: str, version: int) -> bool:
        """Whether every partition adopted the version within the time that is waited for it."""
        return await self._adopted.wait_until(
            lambda by_plan: AdoptedVersions(by_plan, self._partitions()).everywhere(plan, version),
            timeout_seconds=self._adoption_wait_seconds,
        )

    async def wait_until_ended(self, plan: str, version: int) -> bool:
        """Whether no partition judges by the plan any more, within the time that is waited for it."""
        return await self._adopted.wait_until(
            lambda by_plan: all(known >= version for known in by_plan.get(plan, {}).values()),
            timeout_seconds=self._adoption_wait_seconds,
        )

    async def adoption(self) -> AdoptedVersions:
        """What is adopted now."""
        return AdoptedVersions(await self._adopted.latest(), self._partitions())

    async def newest(self, *, after: str, limit: int) -> list[PlanVersion]:
        """At most `limit` plans with ids above `after`, each by its newest version."""
        async with self._engine.connect() as connection:
            return await registry.newest_versions(connection, after=after, limit=limit)

    async def versions(self, plan: str) -> list[PlanVersion]:
        """The newest versions of `plan`, newest first; empty when there is no such plan."""
        async with self._engine.connect() as connection:
            return await registry.versions_of(connection, plan, limit=VERSIONS_SHOWN_MAX)

    async def version(self, plan: str, version: int) -> PlanDocument | None:
        """One version whole, or None."""
        async with self._engine.connect() as connection:
            return await registry.read_version(connection, plan, version)
