"""Why an account is where it is: the text that a person reads and the values behind it."""

from collections.abc import Iterator
from typing import Any

from services.activation_engine.domain.account import CLOSED, AccountState, PlanState
from services.activation_engine.domain.conditions import AtLeast, Condition
from services.activation_engine.domain.description import last_activity_at
from services.activation_engine.domain.held import superseded
from services.activation_engine.domain.instants import rfc3339, rfc3339_or_none
from services.activation_engine.domain.plan import Milestone, progress_of
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.rows import last_event, standings
from services.activation_engine.domain.snoozes import snoozes_of
from services.activation_engine.domain.status import Deadline, Standing
from services.activation_engine.domain.telling import Case, escalates_at, text_of, waiver_ignored, what_next
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.truths import View, parts
from services.activation_engine.domain.watches import Watch, WatchState
from services.activation_engine.domain.watching import look
from services.activation_engine.domain.wording import condition_text, rule_text, shortened, way_to


def explain(state: AccountState, plans: PlanSet, clock: PartitionClock) -> dict[str, Any]:
    """Why the account is where it is: the text a person reads and the values behind it."""
    explained = [_explain_plan(Case.of(state, live, known, clock)) for live, known in standings(state, plans)]
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


def _explain_plan(case: Case) -> dict[str, Any]:
    state, plan, known, standing = case.state, case.live.plan, case.known, case.standing
    closed = known.status == CLOSED
    return {
        "plan": plan.id,
        "version": known.version,
        "status": known.shown,
        "reason": known.shown_reason,
        "since": rfc3339_or_none(case.since_ms),
        "next_due_at": None if closed else rfc3339_or_none(case.verdict.next_due_ms),
        "escalates_at": rfc3339_or_none(escalates_at(case)),
        "next": what_next(case),
        "text": text_of(case),
        "entered_by": _entered_by(case),
        "verdict": case.verdict.status if case.judged else None,
        "rules": [] if closed else [_rule(standing, one) for one in case.verdict.held],
        "risks": [_watched(one, case) for one in plan.risks],
        "opportunities": [_watched(one, case) for one in plan.opportunities],
        "conditions": [_condition(one, state, known, standing) for one in plan.displayed()],
    }


def _entered_by(case: Case) -> dict[str, Any] | None:
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


def _watched(watch: Watch, case: Case) -> dict[str, Any]:
    """A risk or opportunity: whether it is open, when time alone may change that, and each part as it is now."""
    now = case.known.watches.get(watch.id) or WatchState()
    view = View(case.standing, case.state, case.now_ms, case.known.healthy_since_ms)
    return {
        "id": watch.id,
        "title": watch.title,
        "rule": shortened(watch.text),
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
        "waiver_ignored": waiver_ignored(standing.plan, milestone.id, state, standing),
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
