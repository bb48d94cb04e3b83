"""What an earlier version of a plan found stays reached under later ones: the dates that are held for that."""

from collections.abc import Mapping

from services.activation_engine.domain.account import CLOSED, PlanState
from services.activation_engine.domain.facts import MARK_PREFIX, Facts
from services.activation_engine.domain.instants import parse_instant
from services.activation_engine.domain.plan import Plan, reached_milestones
from services.activation_engine.domain.plan_set import LivePlan

# So many bytes of a state are for milestones of earlier versions that the one of now does not have: they may return.
ELSEWHERE_BYTES_MAX = 1_000


def superseded(plan: Plan, facts: Facts, held: Mapping[str, int], milestone: str) -> bool:
    """Whether a milestone is reached by the date that is held of it alone: this plan has not found it yet."""
    return milestone in held and milestone not in reached_milestones(plan, facts, _without(held, milestone))


def bring_up(known: PlanState, live: LivePlan, facts: Facts) -> None:
    """Take over another version: what was announced stays reached, and so its dates are held."""
    dates = {**known.held, **known.now_reached()}
    if known.status == CLOSED:
        dates = {one: at for one, at in dates.items() if not _may_be_a_mark(one, at, known.status_since_ms, facts)}
    held, plan = _worth_holding(live.plan, facts, dates), live.plan
    kept = plan.by_id.keys() | _newest_elsewhere(plan, {**known.reached, **held})
    known.held = {one: at for one, at in held.items() if one in kept}
    known.reached = {one: at for one, at in known.reached.items() if one in kept}
    known.version = live.version


def _may_be_a_mark(milestone: str, at_ms: int, closed_at_ms: int, facts: Facts) -> bool:
    """Whether the date at which a closed account had reached a milestone may be that of a mark: one that still says so,
    or one that was set or taken back since, of which the account did not hear."""
    mark = facts.traits.get(MARK_PREFIX + milestone)
    return mark is not None and (mark[0] > closed_at_ms or parse_instant(mark[2]) == at_ms)


def _worth_holding(plan: Plan, facts: Facts, dates: Mapping[str, int]) -> dict[str, int]:
    """Of the dates at which milestones were reached by an earlier version, those that this one does not find itself, or
    finds later."""
    own = reached_milestones(plan, facts)
    if all(milestone in own and own[milestone] <= at for milestone, at in dates.items()):
        return {}
    found = {one: reached_milestones(plan, facts, _without(dates, one)).get(one) for one in dates}
    return {one: at for one, at in dates.items() if (own_at := found[one]) is None or at < own_at}


def _newest_elsewhere(plan: Plan, dates: Mapping[str, int | None]) -> set[str]:
    """Of milestones that this version does not have, those of the newest dates, within ELSEWHERE_BYTES_MAX."""
    kept, room = set[str](), ELSEWHERE_BYTES_MAX
    elsewhere = [(at or 0, one) for one, at in dates.items() if one not in plan.by_id]
    for _, one in sorted(elsewhere, reverse=True):
        room -= dated_bytes(one)
        if room < 0:
            break
        kept.add(one)
    return kept


def dated_bytes(milestone: str) -> int:
    """What a state needs for a milestone at most: each as reached, and held from an earlier version."""
    return 2 * (len(milestone) + 11)


def _without(dates: Mapping[str, int], milestone: str) -> dict[str, int]:
    return {one: at for one, at in dates.items() if one != milestone}
