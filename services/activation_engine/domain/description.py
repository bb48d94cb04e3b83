"""The document of an account: its traits and people, and where it stands under every plan."""

from collections.abc import Iterator
from typing import Any

from services.activation_engine.domain.account import AccountState, PlanState
from services.activation_engine.domain.held import superseded
from services.activation_engine.domain.instants import in_days, rfc3339, rfc3339_or_none
from services.activation_engine.domain.orders import DIAGNOSIS
from services.activation_engine.domain.people import PEOPLE_KEPT, Seen, is_erased, was_active
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.rows import row_of, standings
from services.activation_engine.domain.status import Standing, phase, standing_of
from services.activation_engine.domain.timers import PartitionClock, after, between
from services.activation_engine.domain.truths import View, parts
from services.activation_engine.domain.watch_announcements import evidence_of
from services.activation_engine.domain.watches import Watch


def describe(state: AccountState, plans: PlanSet, clock: PartitionClock, *, briefly: bool = False) -> dict[str, Any]:
    """The account with its traits and where it stands under every live plan; briefly, as in a list, without its people
    and milestones, which are most of the work."""
    return {
        "id": state.account_id,
        "traits": state.facts.trait_values(),
        "last_activity_at": last_activity_at(state),
        "diagnosis": _diagnosis(state),
        **({} if briefly else {"people": list(_people(state, plans))}),
        "plans": [_describe_plan(state, live, known, clock, briefly) for live, known in standings(state, plans)],
    }


def superseded_milestones(state: AccountState, plans: PlanSet) -> list[dict[str, str]]:
    """What was told as reached under an earlier version, and is not found by the one of now, or not yet."""
    return [
        {"plan": live.plan.id, "milestone": one.id}
        for live, known in standings(state, plans)
        for one in live.plan.displayed()
        if superseded(live.plan, state.facts, known.held, one.id)
    ]


def _diagnosis(state: AccountState) -> dict[str, Any] | None:
    """What a person said is wrong, and what is to be done."""
    dated = state.facts.orders.registers.get(DIAGNOSIS)
    if dated is None or not isinstance(dated[2], str):
        return None
    cause, _, action = dated[2].partition(":")
    return {"cause": cause, "action": action or None, "at": rfc3339(dated[0])}


def _people(state: AccountState, plans: PlanSet) -> Iterator[dict[str, Any]]:
    """Those seen last, newest first, then those who are only known; erased ones are nobody's names any more. Times are
    kept in steps, so the earliest that each can have been is shown."""
    seen: dict[str, Seen] = {}
    for activity in state.facts.activity.values():
        for person, one in activity.people.items():
            seen[person] = max(one, seen.get(person, one))
    for person, (last, role) in sorted(seen.items(), key=lambda item: (-item[1][0], item[0]))[:PEOPLE_KEPT]:
        if not is_erased(person):
            seen_at = rfc3339(_earliest(state, plans, last)) if was_active(last) else None
            yield {"id": person, "role": role or None, "last_seen_at": seen_at}


def _earliest(state: AccountState, plans: PlanSet, last_ms: int) -> int:
    first = min((one.first_ms for one in state.facts.activity.values() if one.first_ms is not None), default=last_ms)
    return min(last_ms, _newest_use_ms(state) or last_ms, max(first, last_ms - plans.activity_step_ms))


def last_activity_at(state: AccountState) -> str | None:
    """When the first use in the newest step was."""
    return rfc3339_or_none(_newest_use_ms(state))


def _newest_use_ms(state: AccountState) -> int | None:
    # Not the stored time less a step: it was rounded up by the step of the plans of then, perhaps longer.
    return max((one.did[0] for one in state.facts.activity.values() if one.did is not None), default=None)


def standing_in(state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock) -> Standing:
    return standing_of(live.plan, known, state.facts, clock.holes, clock.clock_ms or 0)


def _describe_plan(
    state: AccountState, live: LivePlan, known: PlanState, clock: PartitionClock, briefly: bool
) -> dict[str, Any]:
    plan, standing = live.plan, standing_in(state, live, known, clock)
    row = row_of(plan, known, state.facts)
    adoption = None if row.features is None else plan.adoption_of(row.features)
    return {
        "plan": plan.id,
        "version": known.version,
        "phase": phase(standing, clock.clock_ms or 0),
        "status": row.status,
        "reason": row.reason,
        "segment": row.segment,
        "started_at": rfc3339_or_none(row.started_at_ms),
        "first_value_at": rfc3339_or_none(row.first_value_at_ms),
        "activated_at": rfc3339_or_none(row.activated_at_ms),
        "ttfv_days": _time_to_first_value(standing),
        "completion_rate": _completion(standing),
        "reached": [one for one in plan.display_order if standing.is_reached(one)],
        "adoption": None if adoption is None else round(adoption, 4),
        **({} if briefly else {"milestones": _milestones(standing, known, state)}),
        "risks": list(_open(plan.risks, known, standing, state, clock)),
        "opportunities": list(_open(plan.opportunities, known, standing, state, clock)),
    }


def _completion(standing: Standing) -> float:
    """The share of required milestones that are reached; what is waived is not required."""
    required = [one for one in standing.plan.required if one not in standing.waived]
    return round(sum(standing.is_reached(one) for one in required) / len(required), 4) if required else 1.0


def _open(
    watches: tuple[Watch, ...], known: PlanState, standing: Standing, state: AccountState, clock: PartitionClock
) -> Iterator[dict[str, Any]]:
    """The risks or opportunities that are open, as measured now."""
    view = View(standing, state, clock.clock_ms or 0, known.healthy_since_ms)
    for watch in watches:
        now = known.watches.get(watch.id)
        if now is None or now.opened_at_ms is None:
            continue
        evidence = evidence_of(watch, next(parts(watch, now, view), None))
        shown: dict[str, Any] = {
            "id": watch.id,
            "title": watch.title,
            "opened_at": rfc3339(now.opened_at_ms),
            "reason": evidence.rule,
            "evidence": {
                "rule": evidence.rule,
                "measured": evidence.measured,
                "threshold": evidence.threshold,
            },
        }
        if watch.opportunity:
            ends = None if watch.open_ms is None else after(now.opened_at_ms, watch.open_ms, standing.still)
            shown["closes_at"] = rfc3339_or_none(ends)
        yield shown


def _time_to_first_value(standing: Standing) -> dict[str, Any]:
    """Gross, and net of holes; never below 0, and then `before_start` says so."""
    plan, start, reached = standing.plan, standing.start_ms, standing.reached.get(standing.plan.first_value)
    if start is None or reached is None:
        return {"gross": None, "net": None, "before_start": False}
    net = 0 if reached < start else between(start, reached, standing.still)
    return {
        "gross": in_days(max(0, reached - start), plan.day_ms),
        "net": in_days(net, plan.day_ms),
        "before_start": reached < start,
    }


def _milestones(standing: Standing, known: PlanState, state: AccountState) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "title": one.title,
            "required": one.required and one.id not in standing.waived,
            "due_at": rfc3339_or_none(standing.due_at(one.id)),
            "reached_at": rfc3339_or_none(standing.reached.get(one.id)),
            "superseded": superseded(standing.plan, state.facts, known.held, one.id),
        }
        for one in standing.plan.displayed()
    ]
