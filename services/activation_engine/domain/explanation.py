"""Why an account is where it is: the text that a person reads and the values behind it."""

from collections.abc import Iterator
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from services.activation_engine.domain.account import (
    BY_HAND,
    CLOSED,
    NOT_STARTED,
    PAUSED,
    TROUBLED,
    AccountState,
    PlanState,
)
from services.activation_engine.domain.announcements import Subject, next_step
from services.activation_engine.domain.conditions import AtLeast, Condition
from services.activation_engine.domain.description import last_activity_at, standing_in
from services.activation_engine.domain.held import superseded
from services.activation_engine.domain.instants import date_text, rfc3339, rfc3339_or_none
from services.activation_engine.domain.orders import Pause, life_of, pause_from
from services.activation_engine.domain.plan import Milestone, Plan, progress_of
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.rows import last_event, standings
from services.activation_engine.domain.snoozes import snoozes_of
from services.activation_engine.domain.status import Deadline, Standing, Verdict, judge, next_escalation
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.truths import View, parts
from services.activation_engine.domain.watches import Watch, WatchState
from services.activation_engine.domain.watching import look
from services.activation_engine.domain.wording import (
    condition_text,
    lapsed_text,
    reason_text,
    remedy,
    rule_text,
    way_to,
)


class _Case(Struct, frozen=True):
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

    def why(self, rule: Deadline) -> str:
        """What is wrong by a rule that holds now."""
        return reason_text(self.standing, rule, self.now_ms)


def explain(state: AccountState, plans: PlanSet, clock: PartitionClock) -> dict[str, Any]:
    """Why the account is where it is: the text a person reads and the values behind it."""
    explained = [_explain_plan(_Case.of(state, live, known, clock)) for live, known in standings(state, plans)]
    texts = [one["text"] for one in explained] or [f"{state.name} runs under no live plan."]
    snoozes = list(snoozes_of(state, plans, clock.clock_ms or 0))
    return {
        "text": " ".join([*texts, *(one.text for one in snoozes)]),
        "clock_at": rfc3339_or_none(clock.clock_ms),
        "last_activity_at": last_activity_at(state),
        "last_event": last_event(state),
        "snoozes": [{"kind": one.kind, "until": rfc3339(one.until_ms), "mutes": one.mutes} for one in snoozes],
        "plans": explained,
    }


def _explain_plan(case: _Case) -> dict[str, Any]:
    state, plan, known, standing = case.state, case.live.plan, case.known, case.standing
    next_text = _what_next(case)
    closed = known.status == CLOSED
    return {
        "plan": plan.id,
        "version": known.version,
        "status": known.shown,
        "reason": known.shown_reason,
        "since": rfc3339_or_none(case.since_ms),
        "next_due_at": None if closed else rfc3339_or_none(case.verdict.next_due_ms),
        "escalates_at": rfc3339_or_none(_escalates_at(case)),
        "next": next_text,
        "text": " ".join([_status_sentence(case), *_by_now(case), next_text, *_ignored(case)]),
        "entered_by": _entered_by(case),
        "verdict": case.verdict.status if case.judged else None,
        "rules": [] if closed else [_rule(standing, one) for one in case.verdict.held],
        "risks": [_watched(one, case) for one in plan.risks],
        "opportunities": [_watched(one, case) for one in plan.opportunities],
        "conditions": [_condition(one, state, known, standing) for one in plan.displayed()],
    }


def _cause(plan: Plan, known: PlanState, verdict: Verdict) -> Deadline | None:
    """None when it is in no trouble, or a newer version of the plan has dropped the milestone of that."""
    if known.status not in TROUBLED or known.reason is None or known.deadline_ms is None:
        return None
    if known.cause is not None and known.cause not in plan.display_order:
        return None
    entered = Deadline(known.status, known.reason, known.deadline_ms, known.cause)
    return next((one for one in verdict.held if replace(one, at_ms=entered.at_ms) == entered), entered)


def _what_next(case: _Case) -> str:
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
    return next_step(Subject(state, live, known, case.standing))


def _status_sentence(case: _Case) -> str:
    plan, known, standing = case.live.plan, case.known, case.standing
    since = ""
    if case.since_ms is not None:
        since = f" since {date_text(case.since_ms, start_ms=standing.start_ms, day_ms=plan.day_ms)}"
    why = "" if case.cause_text is None else f": {case.cause_text}"
    required = [one for one in plan.required if one not in standing.waived]
    reached = sum(standing.is_reached(one) for one in required)
    done = f"{reached} of {len(required)} required milestones are reached"
    return f"{case.state.name} is {_words(known.shown)} under {plan.id} (version {known.version}){since}{why}; {done}."


def _by_now(case: _Case) -> Iterator[str]:
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


def _ignored(case: _Case) -> Iterator[str]:
    """What was told of the account and changes nothing."""
    plan = case.live.plan
    if _waiver_ignored(plan, plan.first_value, case.state, case.standing):
        title = plan.milestone(plan.first_value).title
        yield f"The waiver of {title} changes nothing: the first value cannot be waived."


def _waiver_ignored(plan: Plan, milestone: str, state: AccountState, standing: Standing) -> bool:
    """Whether it is still to be reached although somebody waived it."""
    return milestone in state.facts.waived() and milestone == plan.first_value and standing.is_missing(milestone)


def _words(status: str) -> str:
    return status.replace("_", " ")


def _entered_by(case: _Case) -> dict[str, Any] | None:
    if case.cause is None or not case.judged:
        return None
    return {
        "reason": case.cause.reason,
        "milestone": case.cause.milestone,
        "text": case.cause_text,
        "at": rfc3339(case.cause.at_ms),
        "holds": case.cause_holds,
    }


def _rule(standing: Standing, rule: Deadline) -> dict[str, Any]:
    return {
        "status": rule.status,
        "reason": rule.reason,
        "milestone": rule.milestone,
        "text": rule_text(standing, rule),
        "at": rfc3339_or_none(rule.at_ms),
    }


def _escalates_at(case: _Case) -> int | None:
    """When somebody else is told, unless something happens; None when that was done, or will not be."""
    if not case.judged or case.known.escalated_life == case.state.life:
        return None
    return next_escalation(case.standing, case.state.facts)


def _watched(watch: Watch, case: _Case) -> dict[str, Any]:
    """A risk or opportunity: whether it is open, when time alone may change that, and each part as it is now."""
    now = case.known.watches.get(watch.id) or WatchState()
    view = View(case.standing, case.state.facts, case.now_ms, case.known.healthy_since_ms)
    return {
        "id": watch.id,
        "title": watch.title,
        "rule": watch.text,
        "open": now.opened_at_ms is not None,
        "opened_at": rfc3339_or_none(now.opened_at_ms),
        "looked_at_next": rfc3339_or_none(look(watch, now, view).next_ms) if case.judged else None,
        "parts": [
            {"part": one.name, "holds": one.holds, "measured": one.measured, "threshold": one.threshold}
            for one in parts(watch, now, view)
        ],
    }


def _condition(milestone: Milestone, state: AccountState, known: PlanState, standing: Standing) -> dict[str, Any]:
    reached = known.now_reached()
    progress = progress_of(milestone, state.facts, reached)
    return {
        "milestone": milestone.id,
        "title": milestone.title,
        "required": milestone.required and milestone.id not in standing.waived,
        "waived": milestone.id in standing.waived,
        "waiver_ignored": _waiver_ignored(standing.plan, milestone.id, state, standing),
        "met": milestone.id in reached,
        "superseded": superseded(standing.plan, state.facts, known.held, milestone.id),
        "measured": progress.measured,
        "threshold": progress.threshold,
        "at": rfc3339_or_none(reached.get(milestone.id)),
        "due_at": rfc3339_or_none(standing.due_at(milestone.id)),
        "waiting_for": [one for one in milestone.needs if standing.is_missing(one)],
        "text": way_to(standing.plan, milestone, standing),
        "parts": list(_parts(milestone.when, state, reached)),
    }


def _parts(condition: Condition | None, state: AccountState, reached: dict[str, int]) -> Iterator[dict[str, Any]]:
    """The parts of a combined condition, each with its own measure."""
    if not isinstance(condition, AtLeast):
        return
    for part in condition.parts:
        progress = part.progress(state.facts.trackers, reached)
        yield {
            "text": condition_text(part),
            "met": progress.share >= 1,
            "measured": progress.measured,
            "threshold": progress.threshold,
            "at": rfc3339_or_none(part.reached_at(state.facts.trackers, reached)),
        }
