"""The probable kind of trouble behind a stall: what a person said, otherwise what the facts suggest."""

from services.activation_engine.domain.activity import PRESENT_DAYS
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.orders import DIAGNOSIS
from services.activation_engine.domain.status import QUIET, Standing, deadlines
from services.activation_engine.domain.timers import before

FIT, EXECUTION, INSTRUMENTATION, UNKNOWN = "fit", "execution", "instrumentation", "unknown"
_LOOK_BACK_DAYS = 14
_BUSY_DAYS = 5
_PEOPLE_FOR_FIT = 2


def likely(standing: Standing, facts: Facts, clock_ms: int) -> str:
    """Of an account that has started. `instrumentation`: busy on 5 of the last 14 days and none of the events that
    milestones name ever came, so probably wrong names. `execution`: required set-up is missing, or people are quiet.
    `fit`: all that comes before first value is reached, two people are active, and first value is not there. A
    diagnosis by a person comes before all of these."""
    diagnosed = facts.orders.ordered(DIAGNOSIS)
    if isinstance(diagnosed, str):
        return diagnosed.partition(":")[0]
    if _is_busy(standing, clock_ms) and not _names_match(standing, facts):
        return INSTRUMENTATION
    if _is_quiet(standing, clock_ms) or any(
        one.required and standing.is_missing(one.id) for one in standing.plan.setup()
    ):
        return EXECUTION
    return FIT if _does_not_fit(standing, clock_ms) else UNKNOWN


def _is_busy(standing: Standing, clock_ms: int) -> bool:
    day_ms = standing.plan.day_ms
    today = clock_ms // day_ms
    return standing.activity.days_between(today - _LOOK_BACK_DAYS + 1, today, day_ms) >= _BUSY_DAYS


def _names_match(standing: Standing, facts: Facts) -> bool:
    """Whether any event that a milestone names came, or none is named; use of whatever kind says nothing of names."""
    leaves = (leaf for one in standing.plan.milestones if one.when is not None for leaf in one.when.leaves())
    named = [leaf.tracker.id for leaf in leaves if not leaf.tracker.selector.everything]
    return not named or any(one in facts.trackers for one in named)


def _is_quiet(standing: Standing, clock_ms: int) -> bool:
    """Whether nobody was active for as long as the plan allows, whichever rule came first."""
    return any(one.reason == QUIET and one.at_ms <= clock_ms for one in deadlines(standing))


def _does_not_fit(standing: Standing, clock_ms: int) -> bool:
    if standing.is_reached(standing.plan.first_value):
        return False
    due = standing.segment.due_offsets_ms.get(standing.plan.first_value)
    earlier = [one for offset, one in standing.segment.obligations if due is None or offset < due]
    present_from = before(clock_ms, PRESENT_DAYS * standing.plan.day_ms, standing.still)
    people = standing.activity.people_since(present_from)
    return people >= _PEOPLE_FOR_FIT and bool(earlier) and all(not standing.is_missing(one) for one in earlier)
