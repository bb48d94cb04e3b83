"""What queries find of an account: a row per plan, its active days, and what it did last."""

from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct

from services.activation_engine.domain.account import CLOSED, AccountState, PlanState
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.orders import Orders, still_times
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.status import first_missing

# The newest active day number, and in hexadecimal a bitmap of the 96 newest whose lowest bit is that day.
ActiveDays: TypeAlias = tuple[int, str]
# The end of a pause that nobody has ended.
_FOR_EVER = 1 << 62


class PlanRow(Struct, frozen=True, gc=False):
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
    # Which of the plan's core features the account uses: feature n is bit n % 8 of byte n // 8. None without any.
    features: bytes | None = None
    closed_at_ms: int | None = None
    # The required milestone that comes next.
    waiting_for: str | None = None
    # When the account was paused, as PostgreSQL writes an int8multirange of milliseconds; None for never.
    paused: str | None = None


def plan_rows(state: AccountState, plans: PlanSet) -> list[PlanRow]:
    """The rows of a state that was just folded or ticked under these plans; those of retired plans are told apart by
    their status."""
    left = [_retired_row(plan, known) for plan, known in state.plans.items() if not plans.has(plan)]
    return [*(row_of(live.plan, known, state.facts) for live, known in standings(state, plans)), *left]


def last_event(state: AccountState) -> str | None:
    """What the account did last: the first event of its newest stretch of activity."""
    newest = None
    for activity in state.facts.activity.values():
        if newest is None or (activity.did is not None and activity.did > newest):
            newest = activity.did
    return None if newest is None else newest[1]


def days_key(rule: int, day_ms: int) -> str:
    """Under which an account's active days by one rule of activity, in days of one length, are found."""
    return f"{rule}:{day_ms}"


def active_days(facts: Facts) -> dict[str, ActiveDays]:
    """An account's active days, by `days_key`."""
    return {
        days_key(rule, day_ms): (newest, bits.hex())
        for rule, activity in facts.activity.items()
        for day_ms, (newest, bits) in activity.days.items()
    }


def row_of(plan: Plan, known: PlanState, facts: Facts) -> PlanRow:
    """Where an account with these facts stands under a live plan."""
    reached = known.now_reached()
    segment = plan.segments.get(known.segment) or plan.segments[plan.default_segment]
    waiting_for = first_missing(plan, segment, reached, plan.waived_by(facts))
    return PlanRow(
        plan=plan.id,
        version=known.version,
        status=known.shown,
        reason=known.shown_reason,
        segment=known.segment if plan.segmented else None,
        started_at_ms=known.start_ms,
        first_value_at_ms=reached.get(plan.first_value),
        # A mark that was taken back, or a plan that ended and came again, leaves what was announced behind.
        activated_at_ms=known.activated_at_ms if waiting_for is None else None,
        reached=reached,
        features=plan.features_of(facts),
        closed_at_ms=known.status_since_ms if known.status == CLOSED else None,
        waiting_for=waiting_for,
        paused=_paused(facts.orders),
    )


def _paused(orders: Orders) -> str | None:
    stretches = [(start, end) for start, end in still_times(orders, (), _FOR_EVER) if start < end]
    texts = (f"[{start},{'' if end == _FOR_EVER else end})" for start, end in stretches)
    return f"{{{','.join(texts)}}}" if stretches else None


def _retired_row(plan_id: str, known: PlanState) -> PlanRow:
    return PlanRow(
        plan=plan_id,
        version=known.version,
        status=known.shown,
        reason=known.shown_reason,
        segment=None,
        started_at_ms=known.start_ms,
        first_value_at_ms=None,
        activated_at_ms=known.activated_at_ms,
        reached=known.now_reached(),
        closed_at_ms=known.status_since_ms if known.status == CLOSED else None,
    )


def standings(state: AccountState, plans: PlanSet) -> Iterator[tuple[LivePlan, PlanState]]:
    """The live plans under which the account stands, with where."""
    for live in plans.live:
        known = state.plans.get(live.plan.id)
        if known is not None:
            yield live, known
