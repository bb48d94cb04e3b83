"""What one record or one tick does to an account: facts folded, milestones and statuses decided, signals returned."""

from collections.abc import Sequence

from services.activation_engine.domain import announcements, signals
from services.activation_engine.domain.account import (
    ACTIVATED,
    AT_RISK,
    CLOSED,
    LEFT_PLAN,
    NOT_STARTED,
    ON_TRACK,
    STALLED,
    TROUBLED,
    AccountState,
    PlanState,
)
from services.activation_engine.domain.announcements import Subject
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plan import reached_milestones
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.signals import CandidateSignal
from services.activation_engine.domain.status import Verdict, is_activated, judge, next_check, standing_of
from services.activation_engine.domain.timers import SENDER_LEAD_MS_MAX, PartitionClock

_NO_SIGNALS: Sequence[CandidateSignal] = ()


def apply_event(state: AccountState, event: Event, plans: PlanSet, clock: PartitionClock) -> Sequence[CandidateSignal]:
    """Fold one record into the state, in place, and decide what records decide: starts, milestones, activation.
    Raises InvalidBody, with nothing changed, when the record can never be applied."""
    announced = _NO_SIGNALS
    if state.adopted is not plans:
        if plans.needs_body(event):
            event.client()
        announced = _adopt(state, plans, clock)
    changed = plans.fold(state.facts, event)
    if changed is None:
        return announced
    state.dirty = True
    if not changed:
        if any(one.status in TROUBLED for one in state.plans.values()):
            state.check_by(clock.clock_ms or 0)
        return announced
    decided = list(announced)
    for live in changed:
        decided += _settle(state, live, clock, _log_now(clock, event), event=event)
    return decided


def apply_tick(state: AccountState, plans: PlanSet, clock: PartitionClock) -> Sequence[CandidateSignal]:
    """Decide what only a tick decides, for an account whose `next_check_ms` has come: at_risk, stalled, recovered,
    and starts that lay in the future. Sets the next check. Nothing is decided in a hold."""
    if clock.holding or clock.clock_ms is None:
        return _NO_SIGNALS
    decided = [] if state.adopted is plans else list(_adopt(state, plans, clock))
    state.next_check_ms = None
    state.dirty = state.decided = True
    for live in plans.live:
        plan_state = state.plans.get(live.plan.id)
        if plan_state is not None and plan_state.status != CLOSED:
            decided += _tick_plan(state, live, plan_state, clock, clock.clock_ms)
    return decided


def _log_now(clock: PartitionClock, event: Event) -> int:
    """The log's time at a record, by the rule of ticks: neither one wrong broker clock nor one wrong ingest clock alone
    can bring a future start forward."""
    return max(clock.clock_ms or 0, min(event.appended_at_ms, event.received_at_ms + SENDER_LEAD_MS_MAX))


def _adopt(state: AccountState, plans: PlanSet, clock: PartitionClock) -> Sequence[CandidateSignal]:
    """Bring an account up to the live versions by what was known before the next input. What it had reached by then is
    history: marked, and announced only when the version was published to do so."""
    decided: list[CandidateSignal] = []
    for live in plans.live:
        known = state.plans.get(live.plan.id)
        if known is None or known.version != live.version:
            now = max(clock.clock_ms or 0, live.live_from_ms)
            decided += _settle(state, live, clock, now, event=None)
            state.dirty |= live.plan.id in state.plans
    state.adopted = plans
    return decided


def _settle(
    state: AccountState, live: LivePlan, clock: PartitionClock, now_ms: int, *, event: Event | None
) -> list[CandidateSignal]:
    """Decide an account's start, milestones and activation under one plan, by its facts. Without an event a version is
    being adopted."""
    plan, facts = live.plan, state.facts
    state.decided = True
    known = state.plans.get(plan.id)
    if not plan.covers(facts):
        if known is not None:
            _leave(known, live, now_ms)
        return []
    if known is None:
        known = state.plans[plan.id] = PlanState(live.version)
    elif known.status == CLOSED:
        _enter(known, Verdict(NOT_STARTED), now_ms)
    known.version = live.version
    _place(state, live, known, event)
    reached = reached_milestones(plan, facts)
    fresh = {one: at for one, at in reached.items() if one not in known.reached}
    if reached != known.reached:
        known.reached = {**dict.fromkeys(known.reached), **reached}
    standing = standing_of(plan, known, facts.last_activity_ms, clock.holes, now_ms)
    subject = Subject(
        state, live, known, standing, event.message_id if event else None, None if event else "plan_change"
    )
    decided = [*_begin(subject, now_ms), *_reach(subject, fresh), *_activate(subject, now_ms)]
    _plan_check(subject, clock)
    return [] if event is None and live.policy == "silent" else decided


def _leave(known: PlanState, live: LivePlan, now_ms: int) -> None:
    """Freeze an account that the plan does not cover any more; no signal."""
    known.version = live.version
    if known.status != CLOSED:
        _enter(known, Verdict(CLOSED), now_ms)
        known.reason = LEFT_PLAN


def _place(state: AccountState, live: LivePlan, known: PlanState, event: Event | None) -> None:
    """Find start and segment again; a change moves every due time, and remembers since when they are known."""
    start, segment = live.plan.start_of(state.facts), live.plan.segment_of(state.facts).id
    if (start, segment) != (known.start_ms, known.segment):
        known.start_ms, known.segment = start, segment
        if event is not None:
            known.judged_from_ms = max(known.judged_from_ms, event.appended_at_ms)


def _begin(subject: Subject, now_ms: int) -> list[CandidateSignal]:
    known, standing = subject.plan_state, subject.standing
    if not standing.begun:
        if known.status not in (NOT_STARTED, ACTIVATED):
            _enter(known, Verdict(NOT_STARTED), now_ms)
        return []
    first = known.begun_ms is None
    known.begun_ms = standing.start_ms
    status_from = known.status
    if status_from == NOT_STARTED:
        _enter(known, Verdict(ON_TRACK), now_ms)
    return [announcements.activation_started(subject, status_from)] if first else []


def _reach(subject: Subject, fresh: dict[str, int]) -> list[CandidateSignal]:
    known, plan = subject.plan_state, subject.plan
    decided = [
        announcements.milestone_reached(subject, milestone, fresh[milestone.id])
        for milestone in plan.milestones
        if milestone.id in fresh
    ]
    first_value = known.reached.get(plan.first_value)
    if first_value is not None and not known.valued:
        known.valued = True
        decided.append(announcements.first_value_reached(subject, first_value))
    return decided


def _activate(subject: Subject, now_ms: int) -> list[CandidateSignal]:
    known, standing = subject.plan_state, subject.standing
    if not is_activated(standing):
        if known.status == ACTIVATED:
            _enter(known, Verdict(ON_TRACK if standing.begun else NOT_STARTED), now_ms)
        return []
    at = max(known.reached[one] or 0 for one in standing.plan.required)
    first, status_from = known.activated_at_ms is None, known.status
    known.activated_at_ms = at
    if status_from != ACTIVATED:
        _enter(known, Verdict(ACTIVATED), at)
    return [announcements.activated(subject, status_from, at)] if first else []


def _plan_check(subject: Subject, clock: PartitionClock) -> None:
    """Let a tick look at the account in time; one in trouble is looked at by the very next tick."""
    if subject.plan_state.status in TROUBLED:
        subject.state.check_by(clock.clock_ms or 0)
        return
    due = next_check(subject.standing)
    if due is not None:
        subject.state.check_by(due)


def _tick_plan(
    state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock, clock_ms: int
) -> list[CandidateSignal]:
    standing = standing_of(live.plan, known, state.facts.last_activity_ms, clock.holes, clock_ms)
    subject = Subject(state, live, known, standing)
    decided = _begin(subject, clock_ms)
    verdict = judge(standing, clock_ms)
    before = known.status
    if verdict.status != before:
        if verdict.status in TROUBLED:
            kind = signals.STALLED if verdict.status == STALLED else signals.AT_RISK
            # Getting better from stalled to at risk is not news.
            if (before, verdict.status) != (STALLED, AT_RISK):
                decided.append(announcements.trouble(subject, kind, verdict, clock_ms))
        elif verdict.status == ON_TRACK and before in TROUBLED:
            decided.append(announcements.recovered(subject, clock_ms))
        _enter(known, verdict, verdict.cause.at_ms if verdict.cause else clock_ms)
    if verdict.next_due_ms is not None:
        state.check_by(verdict.next_due_ms)
    return decided


def _enter(known: PlanState, verdict: Verdict, since_ms: int) -> None:
    """Change the status; reason and deadline are those of the rule that caused it."""
    cause = verdict.cause
    known.status, known.status_since_ms = verdict.status, since_ms
    known.reason = cause.reason if cause else None
    known.cause = cause.milestone if cause else None
    known.deadline_ms = cause.at_ms if cause else None
