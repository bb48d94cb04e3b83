"""What the read API tells about an account: where it stands, why, and what would change it."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from services.activation_engine.domain.account import CLOSED, NOT_STARTED, TROUBLED, AccountState, PlanState
from services.activation_engine.domain.announcements import Subject, next_step
from services.activation_engine.domain.conditions import AtLeast, Condition
from services.activation_engine.domain.instants import date_text, in_days, rfc3339_or_none
from services.activation_engine.domain.plan import Milestone, Plan, progress_of
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.status import Deadline, Standing, judge, phase, standing_of
from services.activation_engine.domain.timers import PartitionClock, between
from services.activation_engine.domain.wording import condition_text, reason_text, remedy, rule_text, way_to


class PlanRow(Struct, frozen=True):
    """One account under one live plan, as stored for queries. Times in milliseconds."""

    plan: str
    version: int
    status: str
    reason: str | None
    segment: str | None
    started_at_ms: int | None
    first_value_at_ms: int | None
    activated_at_ms: int | None
    reached: dict[str, int]


def plan_rows(state: AccountState, plans: PlanSet) -> list[PlanRow]:
    """The rows of a state that was just folded or ticked under these plans."""
    return [_row(live.plan, known) for live, known in _standings(state, plans)]


def _row(plan: Plan, known: PlanState) -> PlanRow:
    reached = known.now_reached()
    return PlanRow(
        plan=plan.id,
        version=known.version,
        status=known.status,
        reason=known.reason,
        segment=known.segment if plan.segmented else None,
        started_at_ms=known.start_ms,
        first_value_at_ms=reached.get(plan.first_value),
        activated_at_ms=known.activated_at_ms,
        reached=reached,
    )


def describe(state: AccountState, plans: PlanSet, clock: PartitionClock) -> dict[str, Any]:
    """The account with its traits and where it stands under every live plan."""
    return {
        "id": state.account_id,
        "traits": state.facts.trait_values(),
        "last_activity_at": _last_activity_at(state, plans),
        "people": [],
        "plans": [_describe_plan(state, live, known, clock) for live, known in _standings(state, plans)],
    }


def _last_activity_at(state: AccountState, plans: PlanSet) -> str | None:
    """The earliest it can have been: it is stored rounded up by a step, and nobody should read a time to come."""
    first, last = state.facts.first_activity_ms, state.facts.last_activity_ms
    if first is None or last is None:
        return None
    return rfc3339_or_none(max(first, last - plans.activity_step_ms))


def _standings(state: AccountState, plans: PlanSet) -> Iterator[tuple[LivePlan, PlanState]]:
    for live in plans.live:
        known = state.plans.get(live.plan.id)
        if known is not None:
            yield live, known


def _standing(state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock) -> Standing:
    return standing_of(live.plan, known, state.facts.last_activity_ms, clock.holes, clock.clock_ms or 0)


def _describe_plan(state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock) -> dict[str, Any]:
    plan, standing = live.plan, _standing(state, live, known, clock)
    row = _row(plan, known)
    return {
        "plan": plan.id,
        "version": known.version,
        "phase": phase(standing, clock.clock_ms or 0),
        "status": known.status,
        "reason": known.reason,
        "segment": row.segment,
        "started_at": rfc3339_or_none(row.started_at_ms),
        "first_value_at": rfc3339_or_none(row.first_value_at_ms),
        "activated_at": rfc3339_or_none(row.activated_at_ms),
        "ttfv_days": _time_to_first_value(standing),
        "completion_rate": round(sum(one in row.reached for one in plan.required) / len(plan.required), 4),
        "adoption": None,
        "milestones": [_describe_milestone(one, standing) for one in plan.displayed()],
        "risks": [],
        "opportunities": [],
    }


def _time_to_first_value(standing: Standing) -> dict[str, Any]:
    """Gross, and net of holes; never below 0, and then `before_start` says so."""
    plan, start, reached = standing.plan, standing.start_ms, standing.reached.get(standing.plan.first_value)
    if start is None or reached is None:
        return {"gross": None, "net": None, "before_start": False}
    net = 0 if reached < start else between(start, reached, standing.holes)
    return {
        "gross": in_days(max(0, reached - start), plan.day_ms),
        "net": in_days(net, plan.day_ms),
        "before_start": reached < start,
    }


def _describe_milestone(milestone: Milestone, standing: Standing) -> dict[str, Any]:
    return {
        "id": milestone.id,
        "title": milestone.title,
        "required": milestone.required,
        "due_at": rfc3339_or_none(standing.due_at(milestone.id)),
        "reached_at": rfc3339_or_none(standing.reached.get(milestone.id)),
    }


def explain(state: AccountState, plans: PlanSet, clock: PartitionClock) -> dict[str, Any]:
    """Why the account is where it is: the text a person reads and the values behind it."""
    explained = [_explain_plan(state, live, known, clock) for live, known in _standings(state, plans)]
    text = " ".join(one["text"] for one in explained) or f"{state.name} runs under no live plan."
    return {
        "text": text,
        "clock_at": rfc3339_or_none(clock.clock_ms),
        "last_activity_at": _last_activity_at(state, plans),
        "plans": explained,
    }


def _explain_plan(state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock) -> dict[str, Any]:
    now = clock.clock_ms or 0
    standing = _standing(state, live, known, clock)
    verdict = judge(standing, now)
    next_text = _what_next(state, live, known, standing)
    rules = [_rule(standing, one) for one in verdict.held]
    return {
        "plan": live.plan.id,
        "version": known.version,
        "status": known.status,
        "reason": known.reason,
        "since": rfc3339_or_none(known.status_since_ms or None),
        "next_due_at": rfc3339_or_none(verdict.next_due_ms if known.status != CLOSED else None),
        "next": next_text,
        "text": f"{_status_sentence(state, live, known, standing, now)} {next_text}",
        "rules": rules,
        "conditions": [_condition(one, state, known, standing) for one in live.plan.displayed()],
    }


def _cause(plan: Plan, known: PlanState) -> Deadline | None:
    """The rule that caused the trouble, unless a newer version of the plan has dropped its milestone."""
    if known.status not in TROUBLED or known.reason is None or known.deadline_ms is None:
        return None
    if known.cause is not None and known.cause not in plan.display_order:
        return None
    return Deadline(known.status, known.reason, known.deadline_ms, known.cause)


def _what_next(state: AccountState, live: LivePlan, known: PlanState, standing: Standing) -> str:
    """One sentence on what would change the status."""
    cause = _cause(live.plan, known)
    if known.status == CLOSED:
        return "The account does not run under this plan any more."
    if known.status == NOT_STARTED and known.start_ms is None:
        return f"It starts with the first of these that becomes known: {', '.join(live.plan.start)}."
    if known.status == NOT_STARTED:
        return f"It starts at {rfc3339_or_none(known.start_ms)}."
    if cause is not None and not (cause.milestone and standing.is_reached(cause.milestone)):
        return remedy(standing, cause)
    return next_step(Subject(state, live, known, standing))


def _status_sentence(state: AccountState, live: LivePlan, known: PlanState, standing: Standing, now_ms: int) -> str:
    plan, cause = live.plan, _cause(live.plan, known)
    words = known.status.replace("_", " ")
    since = ""
    if known.status_since_ms:
        since = f" since {date_text(known.status_since_ms, start_ms=standing.start_ms, day_ms=plan.day_ms)}"
    why = ""
    if cause is not None:
        why = f": {reason_text(standing, cause, now_ms)}"
    reached = sum(standing.is_reached(one) for one in plan.required)
    done = f"{reached} of {len(plan.required)} required milestones are reached"
    return f"{state.name} is {words} under {plan.id} (version {known.version}){since}{why}; {done}."


def _rule(standing: Standing, rule: Deadline) -> dict[str, Any]:
    return {
        "status": rule.status,
        "reason": rule.reason,
        "milestone": rule.milestone,
        "text": rule_text(standing, rule),
        "at": rfc3339_or_none(rule.at_ms),
    }


def _condition(milestone: Milestone, state: AccountState, known: PlanState, standing: Standing) -> dict[str, Any]:
    reached = known.now_reached()
    progress = progress_of(milestone, state.facts, reached)
    return {
        "milestone": milestone.id,
        "title": milestone.title,
        "required": milestone.required,
        "met": milestone.id in reached,
        "measured": progress.measured,
        "threshold": progress.threshold,
        "at": rfc3339_or_none(reached.get(milestone.id)),
        "due_at": rfc3339_or_none(standing.due_at(milestone.id)),
        "waiting_for": [one for one in milestone.needs if one not in reached],
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
