"""The probable kind of trouble behind a stall: what a person said, otherwise what the facts suggest."""

from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.orders import DIAGNOSIS
from services.activation_engine.domain.status import QUIET, Standing
from services.activation_engine.domain.timers import before

FIT, EXECUTION, INSTRUMENTATION, UNKNOWN = "fit", "execution", "instrumentation", "unknown"
_LOOK_BACK_DAYS = 14
_BUSY_DAYS = 5
_PRESENT_DAYS = 28
_PEOPLE_FOR_FIT = 2


def likely(standing: Standing, facts: Facts, reason: str | None, clock_ms: int) -> str:
    """`instrumentation`: busy on 5 of the last 14 days and no milestone event ever matched, so probably wrong names.
    `execution`: required set-up is missing, or people went quiet. `fit`: all that comes before first value is reached,
    two people are active, and first value is not there. A diagnosis by a person comes before all of these."""
    diagnosed = facts.orders.ordered(DIAGNOSIS)
    if isinstance(diagnosed, str):
        return diagnosed.partition(":")[0]
    if _is_busy(standing, clock_ms) and not _any_event_matched(standing, facts):
        return INSTRUMENTATION
    if reason == QUIET or any(one.required and standing.is_missing(one.id) for one in standing.plan.setup()):
        return EXECUTION
    return FIT if _does_not_fit(standing, clock_ms) else UNKNOWN


def _is_busy(standing: Standing, clock_ms: int) -> bool:
    day_ms = standing.plan.day_ms
    today = clock_ms // day_ms
    return standing.activity.days_between(today - _LOOK_BACK_DAYS + 1, today, day_ms) >= _BUSY_DAYS


def _any_event_matched(standing: Standing, facts: Facts) -> bool:
    """Whether any milestone's own event came; use of whatever kind says nothing about names."""
    leaves = (leaf for one in standing.plan.milestones if one.when is not None for leaf in one.when.leaves())
    return any(leaf.tracker.id in facts.trackers for leaf in leaves if not leaf.tracker.selector.everything)


def _does_not_fit(standing: Standing, clock_ms: int) -> bool:
    if standing.is_reached(standing.plan.first_value):
        return False
    due = standing.segment.due_offsets_ms.get(standing.plan.first_value)
    earlier = [one for offset, one in standing.segment.obligations if due is None or offset < due]
    present_from = before(clock_ms, _PRESENT_DAYS * standing.plan.day_ms, standing.still)
    people = standing.activity.people_since(present_from)
    return people >= _PEOPLE_FOR_FIT and bool(earlier) and all(not standing.is_missing(one) for one in earlier)
