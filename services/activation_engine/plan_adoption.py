"""Which plan versions are published, which of them a partition has not adopted, and the set that judges its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.plan_set import LivePlan, PlanSet, Policy
from services.activation_engine.plans.loader import plan_from_content
from services.activation_engine.plans.registry import RETIRED
from services.activation_engine.store import Adoption, PublishedPlan, Store, StoreUnavailable
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)


class PlanCatalog:
    """Compiled versions, kept for as long as their content is what was published: they are few. A failover may lose a
    publication, and the next one takes its number."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._compiled: dict[tuple[str, int], Plan] = {}
        # Under which hash each was published; a later release may find another one for the same content.
        self._hashes: dict[tuple[str, int], str] = {}
        self.published: dict[str, PublishedPlan] = {}

    async def watch(self, stopping: Stopping, *, poll_seconds: float) -> None:
        """Worker: look for newly published versions until stopped; a database that is away is waited for."""
        while not await stopping.sleep(poll_seconds):
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.debug("plans_not_read", error=str(error))

    async def refresh(self) -> None:
        """Learn what is published, compiled before any partition adopts it. Raises StoreUnavailable."""
        newest = await self._store.published_plans()
        for one in newest:
            key = one.plan, one.version
            if one.policy != RETIRED and self._hashes.get(key) != one.hash:
                self._compiled.pop(key, None)
                await self._plan(*key)
                self._hashes[key] = one.hash
        self.published = {one.plan: one for one in newest}

    def pending(self, adopted: Mapping[str, Adoption]) -> list[PublishedPlan]:
        """The published versions that are newer than what a partition adopted."""
        return [one for one in self.published.values() if _is_news(one, adopted.get(one.plan))]

    async def plan_set(self, adopted: Iterable[Adoption]) -> PlanSet:
        """The set of these versions without those that ended their plan. Raises StoreUnavailable."""
        live = [one for one in adopted if one.policy != RETIRED]
        return PlanSet.of([live_plan(one, await self._plan(one.plan, one.version)) for one in live])

    async def _plan(self, plan: str, version: int) -> Plan:
        known = self._compiled.get((plan, version))
        if known is None:
            content = await self._store.plan_content(plan, version)
            known = self._compiled[plan, version] = plan_from_content(dict(content)).plan
        return known


def live_plan(adoption: Adoption, plan: Plan) -> LivePlan:
    """An adopted version with its content."""
    policy: Policy = "emit" if adoption.policy == "emit" else "silent"
    return LivePlan(plan, adoption.version, adoption.live_from_ms, policy)


def _is_news(published: PublishedPlan, adopted: Adoption | None) -> bool:
    """Whether a partition has to adopt a version; a plan that ended before it ever began is none of its business."""
    if adopted is None:
        return published.policy != RETIRED
    return adopted.version < published.version
