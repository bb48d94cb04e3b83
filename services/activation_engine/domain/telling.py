"""One account under one plan in sentences: where it stands and why, what holds by now, and what comes next."""

from collections.abc import Iterator
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from services.activation_engine.domain.account import (
    AT_RISK,
    BY_HAND,
    CLOSED,
    NOT_STARTED,
    PAUSED,
    TROUBLED,
    AccountState,
    PlanState,
)
from services.activation_engine.domain.description import standing_in
from services.activation_engine.domain.instants import date_text, rfc3339, rfc3339_or_none
from services.activation_engine.domain.orders import Pause, life_of, pause_from
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.plan_set import LivePlan
from services.activation_engine.domain.status import Deadline, Standing, Verdict, judge, next_escalation
from services.activation_engine.domain.subject import Subject, next_step
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.wording import lapsed_text, listed, reason_text, remedy


class Case(Struct, frozen=True):
    """One account under one plan as of `now_ms`: what the last record or tick decided, and what the rules say by what
    is known now. `cause` is the rule that caused the trouble: as it holds now, or else as it held on entry."""

    state: AccountState
    live: LivePlan
    known: PlanState
    clock: PartitionClock
    now_ms: int
    standing: Standing
    verdict: Verdict
    cause: Deadline | None

    @classmethod
    def of(cls, state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock) -> Self:
        now_ms, standing = clock.clock_ms or 0, standing_in(state, live, known, clock)
        verdict = judge(standing, now_ms)
        return cls(state, live, known, clock, now_ms, standing, verdict, _cause(live.plan, known, verdict))

    @property
    def judged(self) -> bool:
        """Whether ticks decide its status: not in a pause, nor once it is closed."""
        return self.known.shown not in (PAUSED, CLOSED)

    @property
    def cause_holds(self) -> bool:
        return self.cause in self.verdict.held

    @property
    def cause_text(self) -> str | None:
        """Why it is in trouble, as a clause; None when it is not, or nobody judges that."""
        if self.cause is None or not self.judged:
            return None
        return self.why(self.cause) if self.cause_holds else lapsed_text(self.standing, self.cause)

    @property
    def pause(self) -> Pause | None:
        """The pause that is on. It may begin ahead of the clock: a command pauses at once, a tick comes later."""
        return pause_from(self.state.facts.orders, self.now_ms) if self.known.paused else None

    @property
    def since_ms(self) -> int | None:
        pause = self.pause
        return (self.known.status_since_ms or None) if pause is None else pause.start_ms

    def date(self, at_ms: int) -> str:
        """An instant as a person reads it."""
        return date_text(at_ms, start_ms=self.standing.start_ms, day_ms=self.live.plan.day_ms)

    def why(self, rule: Deadline) -> str:
        """What is wrong by a rule that holds now."""
        return reason_text(self.standing, rule, self.now_ms)


def _cause(plan: Plan, known: PlanState, verdict: Verdict) -> Deadline | None:
    """None when it is in no trouble, or a newer version of the plan has dropped the milestone of that."""
    if known.status not in TROUBLED or known.reason is None or known.deadline_ms is None:
        return None
    if known.cause is not None and known.cause not in plan.display_order:
        return None
    entered = Deadline(known.status, known.reason, known.deadline_ms, known.cause)
    return next((one for one in verdict.held if replace(one, at_ms=entered.at_ms) == entered), entered)


def what_next(case: Case) -> str:
    """One sentence on what would change the status."""
    state, live, known = case.state, case.live, case.known
    if known.status == CLOSED and known.reason == BY_HAND:
        return f"It was closed by hand ({life_of(state.facts.orders).why}); reopening it resumes the plan."
    if known.status == CLOSED:
        return "The account does not run under this plan any more."
    pause = case.pause
    if pause is not None:
        until = "somebody resumes it" if pause.end_ms is None else rfc3339(pause.end_ms)
        return f"Every clock stands still until {until}: {pause.why}."
    if known.status == NOT_STARTED and known.start_ms is None:
        return f"It starts with the first of these that becomes known: {', '.join(live.plan.start)}."
    if known.status == NOT_STARTED:
        return f"It starts at {rfc3339_or_none(known.start_ms)}."
    rule = case.cause if case.cause_holds else case.verdict.cause
    if rule is not None:
        return remedy(case.standing, rule)
    return next_step(Subject(state, live, known, case.standing, case.now_ms))


def _status_sentence(case: Case) -> str:
    plan, known, standing = case.live.plan, case.known, case.standing
    since = ""
    if case.since_ms is not None:
        since = f" since {case.date(case.since_ms)}"
    why = "" if case.cause_text is None else f": {case.cause_text}"
    required = [one for one in plan.required if one not in standing.waived]
    reached = sum(standing.is_reached(one) for one in required)
    done = f"{reached} of {len(required)} required milestones are reached"
    return f"{case.state.name} is {_words(known.shown)} under {plan.id} (version {known.version}){since}{why}; {done}."


def _by_now(case: Case) -> Iterator[str]:
    """What the rules say by now, where that is not why the account is where it is: a record changes at once what is
    known, a tick alone what follows from it."""
    verdict, status = case.verdict, case.known.status
    why = "" if verdict.cause is None else f", because {case.why(verdict.cause)}"
    if not case.judged:
        return
    if verdict.status != status:
        after_gap = f"at {rfc3339(case.clock.hold_until_ms)}, some time after a gap in the data"
        decided = after_gap if case.clock.holding else "by the next tick"
        yield f"By what is known now it is {_words(verdict.status)}{why}; that is decided {decided}."
    elif why and not case.cause_holds:
        yield f"It stays {_words(status)}{why}."


def _besides(case: Case) -> Iterator[str]:
    """The other causes of its trouble, one of a kind: who mends the first alone would be surprised by them."""
    if case.cause is None or not case.judged or not case.cause_holds:
        return
    verdict, told = case.verdict, {case.cause.reason}
    if verdict.cause is not None and verdict.status != case.known.status:
        told.add(verdict.cause.reason)
    others = {one.reason: one for one in reversed(verdict.held) if one.reason not in told}
    if others:
        yield f"Besides, {listed([case.why(one) for one in others.values()], 'and')}."


def _ahead(case: Case) -> Iterator[str]:
    """What comes of a trouble that nobody ends."""
    if not case.judged or case.known.status not in TROUBLED:
        return
    plan, stalls, escalates = case.live.plan, case.verdict.next_due_ms, escalates_at(case)
    to = "" if plan.escalation is None else f"escalated to {listed(list(plan.escalation.to), 'and')}"
    if to and case.known.escalated_life == case.state.life:
        yield f"It was {to}."
    coming = [(stalls, "stalled"), (escalates, to)] if case.verdict.status == AT_RISK else [(escalates, to)]
    told = [f"{what} on {case.date(at)}" for at, what in coming if at is not None and at > case.now_ms]
    if told and case.verdict.status in TROUBLED:
        yield f"Unless that changes, it is {listed(told, 'and')}."


def _ignored(case: Case) -> Iterator[str]:
    """What was told of the account and changes nothing."""
    plan = case.live.plan
    if waiver_ignored(plan, plan.first_value, case.state, case.standing):
        title = plan.milestone(plan.first_value).title
        yield f"The waiver of {title} changes nothing: the first value cannot be waived."


def _words(status: str) -> str:
    return status.replace("_", " ")


def escalates_at(case: Case) -> int | None:
    """When somebody else is told, unless something happens; None when that was done, or will not be."""
    if not case.judged or case.known.escalated_life == case.state.life:
        return None
    return next_escalation(case.standing, case.state.facts)


def waiver_ignored(plan: Plan, milestone: str, state: AccountState, standing: Standing) -> bool:
    """Whether it is still to be reached although somebody waived it."""
    return milestone in state.facts.waived() and milestone == plan.first_value and standing.is_missing(milestone)


def text_of(case: Case) -> str:
    """All that a person is told."""
    return " ".join(
        [_status_sentence(case), *_by_now(case), *_besides(case), what_next(case), *_ahead(case), *_ignored(case)]
    )
