"""Candidate signals: what a transition announces, under an id that replay and re-evaluation mint again."""

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

from msgspec import Struct

from services.activation_engine.domain.account import AccountState, PlanState
from services.activation_engine.domain.instants import in_days, rfc3339, rfc3339_or_none
from services.activation_engine.domain.orders import Orders
from services.activation_engine.domain.plan_set import LivePlan

ACTIVATION_STARTED = "account.activation_started"
MILESTONE_REACHED = "account.milestone_reached"
FIRST_VALUE_REACHED = "account.first_value_reached"
ACTIVATED = "account.activated"
AT_RISK = "account.at_risk"
STALLED = "account.stalled"
RECOVERED = "account.recovered"
ESCALATED = "account.escalated"
RISK_OPENED, RISK_CLOSED = "account.risk_opened", "account.risk_closed"
OPPORTUNITY_OPENED, OPPORTUNITY_CLOSED = "account.opportunity_opened", "account.opportunity_closed"
CLOSED = "account.closed"
ERASED = "account.erased"
# What a clock decides can be snoozed; what happened once cannot.
_CAN_BE_SNOOZED = frozenset(
    {AT_RISK, STALLED, RECOVERED, ESCALATED, RISK_OPENED, RISK_CLOSED, OPPORTUNITY_OPENED, OPPORTUNITY_CLOSED}
)
_KIND_AT = len("account.")

# Changing it would announce everything a second time.
_NAMESPACE = UUID("6f0c7a3e-5d0b-5c2e-9a61-2f1d6a4f8b90")
# A start or milestone this many plan days before the account's first record is history.
CATCH_UP_DAYS = 7


class Evidence(Struct):
    """The rule in words, what was measured against which threshold, message ids, and the other rules that held."""

    rule: str
    measured: float | int | str | None = None
    threshold: float | int | str | None = None
    events: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


class CandidateSignal(Struct, kw_only=True):
    """A signal before its number. Times are milliseconds, `*_days` plan days; `sequence` is 0 until `number`. Only the
    end of an account is about no plan and no status."""

    id: str
    type: str
    timestamp_ms: int
    summary: str
    account_id: str
    account_name: str | None
    segment: str | None
    owner: str | None
    traits: dict[str, Any]
    plan_id: str | None
    plan_version: int | None
    milestone_id: str | None = None
    milestone_title: str | None = None
    status_from: str | None
    status_to: str | None
    reason: str | None = None
    likely: str | None = None
    to: tuple[str, ...] = ("owner",)
    due_at_ms: int | None = None
    days_since_start: float | None = None
    ttfv_days: float | None = None
    evidence: Evidence
    next: str | None = None
    risk: str | None = None
    opportunity: str | None = None
    outcome: str | None = None
    origin: str = "live"
    late: bool = False
    sequence: int = 0


def signal_id(account_id: str, plan_id: str, subject: str, kind: str, episode: str) -> str:
    """UUIDv5 over what happened to whom: never over plan versions, offsets or the clock."""
    return str(uuid5(_NAMESPACE, "\x1f".join((account_id, plan_id, subject, kind, episode))))


def milestone_origin(state: AccountState, live: LivePlan, at_ms: int) -> str:
    """`catch_up` for what happened long before the account was first heard of."""
    return origin_of(catch_up=_is_long_before(state, live, at_ms))


def _is_long_before(state: AccountState, live: LivePlan, at_ms: int) -> bool:
    return at_ms < state.enrolled_at_ms - CATCH_UP_DAYS * live.plan.day_ms


def is_history(state: AccountState, plan_state: PlanState, live: LivePlan, deadline_ms: int) -> bool:
    """Whether a deadline was already over when the account, its start or segment, or the plan came up, or when the
    account was reopened or came back under the plan."""
    return deadline_ms <= max(state.enrolled_at_ms, plan_state.judged_from_ms, live.live_from_ms)


def is_old_news(state: AccountState, plan_state: PlanState, live: LivePlan, at_ms: int) -> bool:
    """As `is_history`, for what is dated by when it was heard of, by the start or by the first use: the record of that
    makes no history, unless it belongs to the import of an account that started long before."""
    if at_ms <= max(live.live_from_ms, plan_state.covered_from_ms):
        return True
    start = plan_state.start_ms
    imported = start is not None and _is_long_before(state, live, start)
    return imported and is_history(state, plan_state, live, at_ms)


def origin_of(*, catch_up: bool) -> str:
    """Of what a tick decides. What ends something has the origin of what began it: who heard of the one hears of the
    other, whatever was published or corrected in between."""
    return "catch_up" if catch_up else "live"


def days_between(start_ms: int | None, at_ms: int | None, day_ms: int) -> float | None:
    """Plan days from the start, not below 0; None when either is unknown."""
    return None if start_ms is None or at_ms is None else in_days(max(0, at_ms - start_ms), day_ms)


def can_be_snoozed(kind: str) -> bool:
    """Whether a kind of signal, without `account.`, can be muted."""
    return f"account.{kind}" in _CAN_BE_SNOOZED


def audible(state: AccountState, announced: Sequence[CandidateSignal], now_ms: int) -> Sequence[CandidateSignal]:
    """Those that nobody has snoozed, by kind or by the id of the risk or opportunity."""
    orders = state.facts.orders
    if not announced or not orders.registers:
        return announced
    return [one for one in announced if one.type not in _CAN_BE_SNOOZED or not _muted(orders, one, now_ms)]


def _muted(orders: Orders, signal: CandidateSignal, now_ms: int) -> bool:
    about = signal.risk or signal.opportunity
    return orders.muted(signal.type[_KIND_AT:], now_ms) or (about is not None and orders.muted(about, now_ms))


def number(state: AccountState, signal: CandidateSignal) -> None:
    """Give a signal that will be committed the account's next sequence number."""
    state.sequence += 1
    signal.sequence = state.sequence


def to_payload(signal: CandidateSignal, *, traits: Collection[str] = (), account_link: str = "") -> dict[str, Any]:
    """The JSON object that subscribers receive. `traits` names those allowed out; `{account}` in `account_link`
    becomes the account's id."""
    link = "" if signal.type == ERASED else account_link.replace("{account}", quote(signal.account_id, safe=""))
    milestone = {"id": signal.milestone_id, "title": signal.milestone_title} if signal.milestone_id else None
    return {
        "type": signal.type,
        "id": signal.id,
        "timestamp": rfc3339(signal.timestamp_ms),
        "summary": signal.summary,
        "account": {
            "id": signal.account_id,
            "name": signal.account_name,
            "segment": signal.segment,
            "owner": signal.owner,
            "traits": {name: value for name, value in signal.traits.items() if name in traits},
        },
        "plan": {"id": signal.plan_id, "version": signal.plan_version} if signal.plan_id else None,
        "milestone": milestone,
        "status": {"from": signal.status_from, "to": signal.status_to} if signal.status_to else None,
        "reason": signal.reason,
        "likely": signal.likely,
        "to": list(signal.to),
        "due_at": rfc3339_or_none(signal.due_at_ms),
        "days_since_start": signal.days_since_start,
        "ttfv_days": signal.ttfv_days,
        "evidence": {
            "rule": signal.evidence.rule,
            "measured": signal.evidence.measured,
            "threshold": signal.evidence.threshold,
            "events": list(signal.evidence.events),
            "also": list(signal.evidence.also),
        },
        "next": signal.next,
        "risk": signal.risk,
        "opportunity": signal.opportunity,
        "outcome": signal.outcome,
        "links": {"account": link} if link else {},
        "origin": signal.origin,
        "late": signal.late,
        "sequence": signal.sequence,
    }
