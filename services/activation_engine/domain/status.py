"""The ordered rules that give an account's status under one plan, and the deadlines behind them."""

from collections.abc import Container, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from services.activation_engine.domain.account import (
    ACTIVATED,
    AT_RISK,
    NOT_STARTED,
    ON_TRACK,
    STALLED,
    PlanState,
)
from services.activation_engine.domain.activity import Activity
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.orders import still_times
from services.activation_engine.domain.plan import Plan, Segment
from services.activation_engine.domain.timers import Hole, after

MILESTONE_OVERDUE, QUIET, WINDOW_OVER, FIRST_VALUE_LATE = (
    "milestone_overdue",
    "quiet",
    "window_over",
    "first_value_late",
)
# So long after first value nobody escalates.
_CALM_DAYS = 7
Phase: TypeAlias = Literal["onboarding", "activation", "post_first_value"]


class Standing(Struct, frozen=True):
    """All that the rules look at, apart from the clock. `still` are the stretches that count for no clock: the
    partition's holes and the account's pauses."""

    plan: Plan
    segment: Segment
    start_ms: int | None
    begun: bool
    reached: dict[str, int]
    activity: Activity
    still: Sequence[Hole]
    waived: frozenset[str] = frozenset()

    @property
    def last_activity_ms(self) -> int | None:
        """When anybody was last active, rounded up."""
        return self.activity.last_ms

    @property
    def quiet_from_ms(self) -> int | None:
        """From when quiet counts: the last activity, or the start if that came later; None when nobody was ever
        active."""
        last, start = self.activity.last_ms, self.start_ms
        return last if last is None or start is None else max(last, start)

    def is_reached(self, milestone: str) -> bool:
        """By what is known now."""
        return milestone in self.reached

    def is_missing(self, milestone: str) -> bool:
        """Whether it would still have to be reached if it is required."""
        return milestone not in self.reached and milestone not in self.waived

    def due_at(self, milestone: str) -> int | None:
        """When it is due, still stretches taken out; None when undated or before a start is known."""
        offset = self.segment.due_offsets_ms.get(milestone)
        if offset is None or self.start_ms is None:
            return None
        return after(self.start_ms, offset, self.still)


class Deadline(Struct, frozen=True):
    """A rule that holds from `at_ms` on unless something happens; `milestone` only for `milestone_overdue`."""

    status: str
    reason: str
    at_ms: int
    milestone: str | None = None


class Verdict(Struct, frozen=True):
    """The status, the rule that gave it, every rule that held, and the next instant that may change it."""

    status: str
    cause: Deadline | None = None
    held: tuple[Deadline, ...] = ()
    next_due_ms: int | None = None


def standing_of(plan: Plan, state: PlanState, facts: Facts, holes: tuple[Hole, ...], now_ms: int) -> Standing:
    """The standing that a plan state and facts describe at `now_ms`; `holes` are the partition's."""
    return Standing(
        plan,
        plan.segments.get(state.segment) or plan.segments[plan.default_segment],
        state.start_ms,
        state.begun(now_ms),
        state.now_reached(),
        plan.activity_of(facts),
        still_times(facts.orders, holes, now_ms),
        plan.waived_by(facts),
    )


def is_activated(standing: Standing) -> bool:
    """Whether every required milestone is reached or waived."""
    reached, waived = standing.reached, standing.waived
    for one in standing.plan.required:  # noqa: SIM110 - a generator doubles the cost of this, the hottest rule
        if one not in reached and one not in waived:
            return False
    return True


def deadlines(standing: Standing) -> list[Deadline]:
    """Every deadline of an account that has started and is not activated, in the order of the rules."""
    plan, segment, start, still = standing.plan, standing.segment, standing.start_ms, standing.still
    assert start is not None
    found: list[Deadline] = []
    overdue = next(((offset, one) for offset, one in segment.obligations if standing.is_missing(one)), None)
    valueless = not standing.is_reached(plan.first_value)
    if overdue is not None and plan.overdue_ms is not None:
        at = after(start, overdue[0] + plan.overdue_ms, still)
        found.append(Deadline(STALLED, MILESTONE_OVERDUE, at, overdue[1]))
    quiet_from = standing.quiet_from_ms
    if plan.quiet_ms is not None and quiet_from is not None:
        found.append(Deadline(STALLED, QUIET, after(quiet_from, plan.quiet_ms, still)))
    if valueless and segment.window_ms is not None:
        found.append(Deadline(STALLED, WINDOW_OVER, after(start, segment.window_ms, still)))
    if overdue is not None:
        at = after(start, overdue[0] + plan.grace_ms, still)
        found.append(Deadline(AT_RISK, MILESTONE_OVERDUE, at, overdue[1]))
    if valueless and segment.at_risk_after_ms is not None:
        found.append(Deadline(AT_RISK, FIRST_VALUE_LATE, after(start, segment.at_risk_after_ms, still)))
    return found


def judge(standing: Standing, clock_ms: int) -> Verdict:
    """The first rule that holds at a tick of this clock: activated, not started, stalled, at risk, on track."""
    if is_activated(standing):
        return Verdict(ACTIVATED, next_due_ms=None if standing.begun else standing.start_ms)
    if not standing.begun:
        return Verdict(NOT_STARTED, next_due_ms=standing.start_ms)
    known = deadlines(standing)
    held = tuple(one for one in known if one.at_ms <= clock_ms)
    for status in (STALLED, AT_RISK):
        cause = next((one for one in held if one.status == status), None)
        if cause is not None:
            worse = [one.at_ms for one in known if one.status == STALLED and one.at_ms > clock_ms]
            return Verdict(status, cause, held, min(worse, default=None) if status == AT_RISK else None)
    return Verdict(ON_TRACK, next_due_ms=min((one.at_ms for one in known), default=None))


def next_check(standing: Standing) -> int | None:
    """A lower bound of the next instant at which a tick may decide the status of an account not in trouble."""
    if not standing.begun:
        return standing.start_ms
    if is_activated(standing):
        return None
    return min((one.at_ms for one in deadlines(standing)), default=None)


def first_missing(plan: Plan, segment: Segment, reached: Container[str], waived: Container[str]) -> str | None:
    """The required milestone that an account waits for: the first by due time, those without one last."""
    order = (*(one for _, one in segment.obligations), *plan.required)
    return next((one for one in order if one not in reached and one not in waived), None)


def next_escalation(standing: Standing, facts: Facts) -> int | None:
    """When an account is to be escalated, which may be past; None when it is not: it has no start, is activated, or
    has what the plan's `unless` asks for. In the days right after first value people are left alone."""
    plan, after_ms, start = standing.plan, standing.segment.escalate_after_ms, standing.start_ms
    if plan.escalation is None or after_ms is None or start is None or not standing.begun or is_activated(standing):
        return None
    unless = plan.escalation.unless
    if unless is not None and unless.reached_at(facts.trackers, standing.reached) is not None:
        return None
    at = after(start, after_ms, standing.still)
    first_value = standing.reached.get(plan.first_value)
    return at if first_value is None else max(at, after(first_value, _CALM_DAYS * plan.day_ms, standing.still))


def phase(standing: Standing, now_ms: int) -> Phase:
    """Where in its life the account is: onboarding lasts until each set-up milestone is reached or its time is past."""
    if standing.is_reached(standing.plan.first_value):
        return "post_first_value"
    for milestone in standing.plan.setup():
        due = standing.due_at(milestone.id)
        if standing.is_missing(milestone.id) and (due is None or due > now_ms):
            return "onboarding"
    return "activation"
