"""Why an account is where it is: the text that a person reads and the values behind it."""

from collections.abc import Iterator
from typing import Any

from services.activation_engine.domain.account import (
    BY_HAND,
    CLOSED,
    NOT_STARTED,
    TROUBLED,
    AccountState,
    PlanState,
)
from services.activation_engine.domain.announcements import Subject, next_step
from services.activation_engine.domain.conditions import AtLeast, Condition
from services.activation_engine.domain.description import last_activity_at, standing_in
from services.activation_engine.domain.instants import date_text, rfc3339, rfc3339_or_none
from services.activation_engine.domain.orders import Pause, life_of, pause_from
from services.activation_engine.domain.plan import Milestone, Plan, progress_of
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.rows import last_event, standings
from services.activation_engine.domain.snoozes import snoozes_of
from services.activation_engine.domain.status import Deadline, Standing, judge
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.truths import View, parts
from services.activation_engine.domain.watches import Watch, WatchState
from services.activation_engine.domain.wording import condition_text, reason_text, remedy, rule_text, way_to


def explain(state: AccountState, plans: PlanSet, clock: PartitionClock) -> dict[str, Any]:
    """Why the account is where it is: the text a person reads and the values behind it."""
    explained = [_explain_plan(state, live, known, clock) for live, known in standings(state, plans)]
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


def _explain_plan(state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock) -> dict[str, Any]:
    now = clock.clock_ms or 0
    standing = standing_in(state, live, known, clock)
    verdict = judge(standing, now)
    next_text = _what_next(state, live, known, standing, now)
    rules = [_rule(standing, one) for one in verdict.held]
    return {
        "plan": live.plan.id,
        "version": known.version,
        "status": known.shown,
        "reason": known.shown_reason,
        "since": rfc3339_or_none(_since_ms(state, known, now)),
        "next_due_at": rfc3339_or_none(verdict.next_due_ms if known.status != CLOSED else None),
        "next": next_text,
        "text": f"{_status_sentence(state, live, known, standing, now)} {next_text}",
        "rules": rules,
        "risks": [_watched(one, state, known, standing, now) for one in live.plan.risks],
        "opportunities": [_watched(one, state, known, standing, now) for one in live.plan.opportunities],
        "conditions": [_condition(one, state, known, standing) for one in live.plan.displayed()],
    }


def _cause(plan: Plan, known: PlanState) -> Deadline | None:
    """The rule that caused the trouble, unless a newer version of the plan has dropped its milestone."""
    if known.status not in TROUBLED or known.reason is None or known.deadline_ms is None:
        return None
    if known.cause is not None and known.cause not in plan.display_order:
        return None
    return Deadline(known.status, known.reason, known.deadline_ms, known.cause)


def _pause(state: AccountState, known: PlanState, now_ms: int) -> Pause | None:
    """The pause that is on. It may begin ahead of the clock: a command pauses at once, a tick comes later."""
    return pause_from(state.facts.orders, now_ms) if known.paused else None


def _since_ms(state: AccountState, known: PlanState, now_ms: int) -> int | None:
    pause = _pause(state, known, now_ms)
    return (known.status_since_ms or None) if pause is None else pause.start_ms


def _what_next(state: AccountState, live: LivePlan, known: PlanState, standing: Standing, now_ms: int) -> str:
    """One sentence on what would change the status."""
    cause = _cause(live.plan, known)
    if known.status == CLOSED and known.reason == BY_HAND:
        return f"It was closed by hand ({life_of(state.facts.orders).why}); reopening it resumes the plan."
    if known.status == CLOSED:
        return "The account does not run under this plan any more."
    pause = _pause(state, known, now_ms)
    if pause is not None:
        until = "somebody resumes it" if pause.end_ms is None else rfc3339(pause.end_ms)
        return f"Every clock stands still until {until}: {pause.why}."
    if known.status == NOT_STARTED and known.start_ms is None:
        return f"It starts with the first of these that becomes known: {', '.join(live.plan.start)}."
    if known.status == NOT_STARTED:
        return f"It starts at {rfc3339_or_none(known.start_ms)}."
    if cause is not None and not (cause.milestone and standing.is_reached(cause.milestone)):
        return remedy(standing, cause)
    return next_step(Subject(state, live, known, standing))


def _status_sentence(state: AccountState, live: LivePlan, known: PlanState, standing: Standing, now_ms: int) -> str:
    plan, cause = live.plan, _cause(live.plan, known)
    words = known.shown.replace("_", " ")
    since, since_ms = "", _since_ms(state, known, now_ms)
    if since_ms is not None:
        since = f" since {date_text(since_ms, start_ms=standing.start_ms, day_ms=plan.day_ms)}"
    why = ""
    if cause is not None and not known.paused:
        why = f": {reason_text(standing, cause, now_ms)}"
    required = [one for one in plan.required if one not in standing.waived]
    reached = sum(standing.is_reached(one) for one in required)
    done = f"{reached} of {len(required)} required milestones are reached"
    return f"{state.name} is {words} under {plan.id} (version {known.version}){since}{why}; {done}."


def _rule(standing: Standing, rule: Deadline) -> dict[str, Any]:
    return {
        "status": rule.status,
        "reason": rule.reason,
        "milestone": rule.milestone,
        "text": rule_text(standing, rule),
        "at": rfc3339_or_none(rule.at_ms),
    }


def _watched(watch: Watch, state: AccountState, known: PlanState, standing: Standing, now_ms: int) -> dict[str, Any]:
    """A risk or opportunity: whether it is open, and each part as it is now."""
    now = known.watches.get(watch.id) or WatchState()
    view = View(standing, state.facts, now_ms, known.healthy_since_ms)
    return {
        "id": watch.id,
        "title": watch.title,
        "rule": watch.text,
        "open": now.opened_at_ms is not None,
        "opened_at": rfc3339_or_none(now.opened_at_ms),
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
        "met": milestone.id in reached,
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
