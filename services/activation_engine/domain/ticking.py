"""What one tick does to an account whose time has come: at risk, stalled, recovered, escalated, risks, opportunities,
and starts that lay in the future."""

from collections.abc import Iterable, Sequence

from services.activation_engine.domain.account import (
    ACTIVATED,
    AT_RISK,
    CLOSED,
    ON_TRACK,
    STALLED,
    TROUBLED,
    AccountState,
    PlanState,
)
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.signals import CandidateSignal, audible
from services.activation_engine.domain.status import judge, next_escalation, standing_of
from services.activation_engine.domain.subject import Subject
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.transitions import adopt, begin, pause
from services.activation_engine.domain.trouble_announcements import escalated, recovered, trouble
from services.activation_engine.domain.truths import View
from services.activation_engine.domain.watch_announcements import announce
from services.activation_engine.domain.watches import Watch, WatchState
from services.activation_engine.domain.watching import OPENED, look

_NO_SIGNALS: Sequence[CandidateSignal] = ()


def apply_tick(state: AccountState, plans: PlanSet, clock: PartitionClock) -> Sequence[CandidateSignal]:
    """Decide what only a tick decides, for an account whose `next_check_ms` has come, and set the next check. Nothing
    is decided in a hold."""
    if clock.holding or clock.clock_ms is None:
        return _NO_SIGNALS
    decided = [] if state.adopted is plans else list(adopt(state, plans, clock))
    state.next_check_ms, state.looked_ms = None, clock.clock_ms
    state.dirty = state.decided = True
    for live in plans.live:
        plan_state = state.plans.get(live.plan.id)
        if plan_state is not None and plan_state.status != CLOSED:
            decided += _tick_plan(state, live, plan_state, clock, clock.clock_ms)
    return audible(state, decided, clock.clock_ms)


def _tick_plan(
    state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock, clock_ms: int
) -> list[CandidateSignal]:
    """In a pause the start alone: it is a date among the facts, which records tell in a pause too. All that a pause
    moves is decided after it."""
    paused = pause(state, known, clock_ms)
    standing = standing_of(live.plan, known, state.facts, clock.holes, clock_ms)
    subject = Subject(state, live, known, standing, clock_ms)
    started = begin(subject)
    if paused:
        return started
    return [
        *started,
        *_judge(subject),
        *_escalate(subject),
        *_watch(subject),
    ]


def _judge(subject: Subject) -> list[CandidateSignal]:
    """The status by the rules; one signal at most."""
    known, decided = subject.plan_state, list[CandidateSignal]()
    verdict = judge(subject.standing, subject.now_ms)
    before, cause = known.status, verdict.cause
    if verdict.next_due_ms is not None:
        subject.state.check_by(verdict.next_due_ms)
    if verdict.status == before:
        return decided
    if verdict.status in TROUBLED:
        if not _is_relief(before, verdict.status):
            decided.append(trouble(subject, verdict))
    elif verdict.status == ON_TRACK and before in TROUBLED:
        decided.append(recovered(subject))
    if cause is None:
        known.enter(verdict.status, subject.now_ms)
    else:
        known.enter(
            verdict.status,
            cause.at_ms,
            reason=cause.reason,
            cause=cause.milestone,
            by=cause.at_ms,
            catch_up=_is_catch_up(subject, verdict.status, cause.at_ms),
        )
    return decided


def _is_relief(before: str, status: str) -> bool:
    """Getting better from stalled to at risk is not news."""
    return (before, status) == (STALLED, AT_RISK)


def _is_catch_up(subject: Subject, status: str, deadline_ms: int) -> bool:
    """Whether all that is told of a trouble is history; once told live it is live until it ends."""
    known = subject.plan_state
    told_live = known.status in TROUBLED and not subject.in_old_trouble
    if told_live or _is_relief(known.status, status):
        return subject.in_old_trouble
    return subject.is_history(deadline_ms)


def _escalate(subject: Subject) -> list[CandidateSignal]:
    """Once per life, past the segment's time, unless what the plan asks for is there."""
    known, life = subject.plan_state, subject.state.life
    if known.escalated_life == life:
        return []
    at = next_escalation(subject.standing, subject.state.facts)
    if at is None:
        return []
    if at > subject.now_ms:
        subject.state.check_by(at)
        return []
    known.escalated_life = life
    return [escalated(subject, at)]


def _watch(subject: Subject) -> list[CandidateSignal]:
    """Risks, then whether the account is healthy, then opportunities, which may ask for that."""
    known, plan = subject.plan_state, subject.plan
    if not plan.watches:
        known.watches, known.watchful, known.healthy_since_ms = {}, False, None
        return []
    view = View(subject.standing, subject.state, subject.now_ms)
    states: dict[str, WatchState] = {}
    known.watchful = False
    decided = _look_at(subject, plan.risks, view, states)
    any_risk = any(one.opened_at_ms is not None for one in states.values())
    healthy = known.status in (ON_TRACK, ACTIVATED) and not any_risk
    if not healthy:
        known.healthy_since_ms = None
    elif known.healthy_since_ms is None:
        known.healthy_since_ms = subject.now_ms
    view = View(subject.standing, subject.state, subject.now_ms, known.healthy_since_ms)
    decided += _look_at(subject, plan.opportunities, view, states)
    known.watches = states
    return decided


def _look_at(
    subject: Subject, watches: Iterable[Watch], view: View, states: dict[str, WatchState]
) -> list[CandidateSignal]:
    known, decided = subject.plan_state, list[CandidateSignal]()
    for watch in watches:
        before = known.watches.get(watch.id) or WatchState()
        found = look(watch, before, view)
        if not found.state.blank:
            states[watch.id] = found.state
        if found.happened is not None:
            at_ms, catch_up = found.happened.at_ms, before.catch_up
            if found.happened.what == OPENED:
                is_old = subject.is_old_news if watch.dated_by_hearing else subject.is_history
                catch_up = found.state.catch_up = is_old(at_ms)
            elif catch_up is None:
                catch_up = subject.is_history(at_ms)
            decided.append(announce(subject, found.happened, view, catch_up=catch_up))
        if found.next_ms is not None:
            subject.state.check_by(found.next_ms)
        known.watchful |= found.waits_for_use
    return decided
