"""What one record does to an account: facts folded; starts, milestones, activation, pauses and closings decided.

What only a tick decides is in `ticking.py`."""

from collections.abc import Sequence

from services.activation_engine.domain import announcements
from services.activation_engine.domain.account import (
    ACTIVATED,
    BY_HAND,
    CLOSED,
    LEFT_PLAN,
    NOT_STARTED,
    ON_TRACK,
    TROUBLED,
    AccountState,
    PlanState,
)
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.facts import Facts, retain
from services.activation_engine.domain.held import bring_up
from services.activation_engine.domain.orders import Life, life_of, next_turn, pause_on
from services.activation_engine.domain.plan import reached_milestones
from services.activation_engine.domain.plan_set import Change, LivePlan, PlanSet
from services.activation_engine.domain.signals import CATCH_UP_DAYS, CandidateSignal
from services.activation_engine.domain.status import is_activated, next_check, standing_of
from services.activation_engine.domain.subject import Subject
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.truths import View
from services.activation_engine.domain.watches import WatchState
from services.activation_engine.domain.watching import hear

_PLAN_CHANGE = "plan_change"
_NO_SIGNALS: Sequence[CandidateSignal] = ()


def apply_event(state: AccountState, event: Event, plans: PlanSet, clock: PartitionClock) -> Sequence[CandidateSignal]:
    """Fold one record into the state, in place, and decide what records decide. Raises InvalidBody, with nothing
    changed, when the record can never be applied."""
    announced = _NO_SIGNALS
    if state.adopted is plans:
        changed = plans.fold(state.facts, event)
    elif state.fresh and state.adopted is None:
        # Nothing was known of it, so nothing is history: by every plan this record decides. Once only, even if it is
        # refused, for a state that was stored since does not know how it began.
        state.fresh = False
        changed = plans.fold(state.facts, event)
        changed = Change(plans.live, news=changed is not None and changed.news)
        state.adopted = plans
    else:
        if plans.needs_body(event):
            # Raises before anything is adopted, or what that announces would be lost.
            plans.fold(Facts(), event)
        announced = adopt(state, plans, clock)
        changed = plans.fold(state.facts, event)
    if changed is None:
        return announced
    state.dirty = True
    if changed.news or state.alert:
        state.check_by(clock.clock_ms or 0)
    if not changed.settle:
        return announced
    now_ms = max(clock.clock_ms or 0, event.appended_at_ms)
    decided = list(announced)
    for live in changed.settle:
        decided += _settle(state, plans, live, clock, now_ms, event=event)
    return decided


def adopt(state: AccountState, plans: PlanSet, clock: PartitionClock) -> Sequence[CandidateSignal]:
    """Bring an account up to the live versions by what was known before the next input. What it had reached by then is
    history: marked, and announced only when the version was published to do so."""
    state.dirty |= retain(state.facts, plans.trackers, plans.rules)
    decided: list[CandidateSignal] = []
    for live in plans.live:
        known = state.plans.get(live.plan.id)
        if known is None or known.version != live.version:
            decided += _settle(state, plans, live, clock, _history_until(live, known), event=None)
            state.dirty |= live.plan.id in state.plans
        elif _has_left(known) == plans.covers(live.plan, state.facts):
            # Another plan went live or was retired, to which the account had been moved.
            decided += _settle(state, plans, live, clock, clock.clock_ms or 0, event=None)
            state.dirty = True
    retired = [one for plan, one in state.plans.items() if one.status != CLOSED and not plans.has(plan)]
    for known in retired:
        _close(known, LEFT_PLAN, clock.clock_ms or 0)
        state.dirty = state.decided = True
    state.adopted, state.looked_ms = plans, None
    return decided


def _has_left(known: PlanState) -> bool:
    """Whether the plan did not cover the account when that was last decided."""
    return known.status == CLOSED and known.reason == LEFT_PLAN


def _history_until(live: LivePlan, known: PlanState | None) -> int:
    """The moment as of which a version is adopted: that of its going live. What came since is news, which the input at
    hand announces, and so is a start that the version before was still waiting for, because of a hold."""
    if known is None or known.status == CLOSED or known.begun_ms is not None or known.start_ms is None:
        return live.live_from_ms
    return min(live.live_from_ms, known.start_ms - 1)


def _settle(
    state: AccountState, plans: PlanSet, live: LivePlan, clock: PartitionClock, now_ms: int, *, event: Event | None
) -> list[CandidateSignal]:
    """Decide an account's start, milestones and activation under one plan, by its facts. Without an event a version is
    being adopted, which tells of nobody's closing, whatever its policy."""
    plan, facts = live.plan, state.facts
    state.decided = True
    known = state.plans.get(plan.id)
    if known is not None and known.version != live.version:
        bring_up(known, live, facts)
    if not plans.covers(plan, facts):
        if known is not None:
            _close(known, LEFT_PLAN, now_ms)
        return []
    first = known is None
    if known is None:
        known = state.plans[plan.id] = PlanState(live.version)
        if event is not None:
            known.covered_from_ms = event.appended_at_ms - CATCH_UP_DAYS * plan.day_ms
    _place(state, live, known, event)
    life, decided = life_of(facts.orders), list[CandidateSignal]()
    if life.closed_at_ms is None or (first and event is None):
        # Also of a closed account: what it had reached before the plan came is no news when it is reopened.
        decided = _live_on(state, live, known, clock, now_ms, event)
    if life.closed_at_ms is not None:
        decided = _end(_subject(state, live, known, clock, now_ms, event), life, life.closed_at_ms)
    if event is not None or (live.policy == "emit" and life.closed_at_ms is None):
        return decided
    # Whoever was told of a trouble hears of its end, whatever the policy.
    return [one for one in decided if one.origin != _PLAN_CHANGE]


def _subject(
    state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock, now_ms: int, event: Event | None
) -> Subject:
    standing = standing_of(live.plan, known, state.facts, clock.holes, now_ms)
    origin = None if event else _PLAN_CHANGE
    return Subject(state, live, known, standing, now_ms, event.message_id if event else None, origin)


def _live_on(
    state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock, now_ms: int, event: Event | None
) -> list[CandidateSignal]:
    """Pauses, and what the facts have reached, of an account that is not closed."""
    if known.status == CLOSED:
        known.enter(NOT_STARTED, now_ms)
        known.covered_from_ms = now_ms if event is None else event.appended_at_ms
        _judge_from(known, known.covered_from_ms)
    pause(state, known, now_ms)
    reached = reached_milestones(live.plan, state.facts, known.held)
    fresh = {one: at for one, at in reached.items() if one not in known.reached}
    moved = reached != known.reached
    if moved:
        known.reached = {**dict.fromkeys(known.reached), **reached}
    subject = _subject(state, live, known, clock, now_ms, event)
    decided = [*begin(subject), *_reach(subject, fresh), *_activate(subject)]
    _hear(subject)
    _plan_check(subject, clock, news=moved)
    return decided


def _hear(subject: Subject) -> None:
    """Note since when what is about a trait holds; ticks open it."""
    known = subject.plan_state
    view = View(subject.standing, subject.state, subject.now_ms, known.healthy_since_ms)
    for watch in subject.plan.of_traits:
        kept = hear(watch, known.watches.pop(watch.id, WatchState()), view)
        if not kept.blank:
            known.watches[watch.id] = kept


def _end(subject: Subject, life: Life, closed_at_ms: int) -> list[CandidateSignal]:
    """Close by hand; once per life somebody is told."""
    known = subject.plan_state
    announced = [] if known.status == CLOSED else [announcements.closed(subject, life)]
    _close(known, BY_HAND, closed_at_ms)
    return announced


def _close(known: PlanState, reason: str, now_ms: int) -> None:
    """Freeze an account under a plan; its risks and opportunities end without a word."""
    if known.status != CLOSED or known.reason != reason:
        known.enter(CLOSED, now_ms, reason=reason)
    known.paused, known.watches, known.watchful, known.healthy_since_ms = False, {}, False, None


def pause(state: AccountState, known: PlanState, now_ms: int) -> bool:
    """Note whether a pause is on, and let a tick look when that changes by itself."""
    orders = state.facts.orders
    known.paused = pause_on(orders, now_ms) is not None
    turn = next_turn(orders, now_ms)
    if turn is not None:
        state.check_by(turn)
    return known.paused


def _place(state: AccountState, live: LivePlan, known: PlanState, event: Event | None) -> None:
    """Find start and segment again; a change moves every due time."""
    start, segment = live.plan.start_of(state.facts), live.plan.segment_of(state.facts).id
    if (start, segment) != (known.start_ms, known.segment):
        known.start_ms, known.segment = start, segment
        # A version that goes live has a moment of its own.
        if event is not None:
            _judge_from(known, event.appended_at_ms)


def _judge_from(known: PlanState, moment_ms: int) -> None:
    """Make deadlines up to this moment history."""
    known.judged_from_ms = max(known.judged_from_ms, moment_ms)


def begin(subject: Subject) -> list[CandidateSignal]:
    """Enter the plan once its start has come; a tick looks on the day of one that is ahead, also in a pause."""
    known, standing = subject.plan_state, subject.standing
    if not standing.begun:
        if standing.start_ms is not None:
            subject.state.check_by(standing.start_ms)
        if known.status not in (NOT_STARTED, ACTIVATED):
            known.enter(NOT_STARTED, subject.now_ms)
        return []
    first = known.begun_ms is None
    known.begun_ms = standing.start_ms
    status_from = known.shown
    if known.status == NOT_STARTED:
        known.enter(ON_TRACK, subject.now_ms)
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


def _activate(subject: Subject) -> list[CandidateSignal]:
    """The first time it is announced, and whenever it ends a trouble."""
    known, standing = subject.plan_state, subject.standing
    if not is_activated(standing):
        if known.status == ACTIVATED:
            known.enter(ON_TRACK if standing.begun else NOT_STARTED, subject.now_ms)
        return []
    first, troubled = known.activated_at_ms is None, known.status in TROUBLED
    at = _activated_at(subject)
    announced = []
    if first or troubled:
        # A version ends a trouble when it goes live, whenever all that it asks for was reached.
        told_at = max(at, subject.now_ms) if troubled and subject.origin is not None else at
        announced.append(announcements.activated(subject, told_at, again=not first))
    known.activated_at_ms = at
    if known.status != ACTIVATED:
        known.enter(ACTIVATED, at)
    return announced


def _activated_at(subject: Subject) -> int:
    """When the last of what is required was reached or, if it is not, waived; with nothing required, now is as good as
    any."""
    known, facts = subject.plan_state, subject.state.facts
    by_ms = known.activated_at_ms if known.status == ACTIVATED else None
    times = [
        facts.waived_at(one, by_ms=by_ms) if (at := known.reached.get(one)) is None else at
        for one in subject.plan.required
    ]
    return max(times, default=subject.now_ms if known.activated_at_ms is None else known.activated_at_ms)


def _plan_check(subject: Subject, clock: PartitionClock, *, news: bool) -> None:
    """Let a tick look at the account in time; the very next one at an account in trouble, or in which the date of a
    milestone, a new or an earlier one, may open or close a watch or bring an escalation forward."""
    plan = subject.plan
    if subject.plan_state.status in TROUBLED or (news and (plan.watches or plan.escalation)):
        subject.state.check_by(clock.clock_ms or 0)
        return
    due = next_check(subject.standing)
    if due is not None:
        subject.state.check_by(due)
