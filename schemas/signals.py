"""Signals: what the engine announces and subscribers receive, as bodies of webhooks and of `activation.signals.v1`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from schemas.notices import NOTICE_TYPES

# Header of a record on `activation.signals.v1`: the ledger's gapless number within the partition, decimal ASCII.
SEQUENCE_HEADER = "seq"
# When that ledger began, milliseconds since 1970, decimal ASCII: numbers of different ledgers are not comparable.
LEDGER_HEADER = "ledger_ms"
# When ingest received what caused the signal, milliseconds since 1970, decimal ASCII; its W3C trace context, if any.
RECEIVED_HEADER = "received_ms"
TRACE_HEADER = "traceparent"

ACCOUNT_TYPES = (
    "account.activation_started",
    "account.milestone_reached",
    "account.first_value_reached",
    "account.activated",
    "account.at_risk",
    "account.stalled",
    "account.recovered",
    "account.escalated",
    "account.risk_opened",
    "account.risk_closed",
    "account.opportunity_opened",
    "account.opportunity_closed",
    "account.closed",
    "account.erased",
)
NOTIFIER_TYPES = ("endpoint.ping", *NOTICE_TYPES)
TYPES = ACCOUNT_TYPES + NOTIFIER_TYPES

Origin = Literal["live", "catch_up", "replay", "plan_change"]
Status = Literal["not_started", "on_track", "at_risk", "stalled", "activated", "paused", "closed"]
Reason = Literal["milestone_overdue", "quiet", "window_over", "first_value_late"]
Outcome = Literal["held", "missed"]
Likely = Literal["fit", "execution", "instrumentation", "unknown"]


class AccountRef(msgspec.Struct):
    """The account as subscribers know it; `traits` holds only those that the settings allow out."""

    id: str
    name: str | None = None
    segment: str | None = None
    owner: str | None = None
    traits: dict[str, Any] = {}


class PlanRef(msgspec.Struct):
    """The plan version that decided."""

    id: str
    version: int


class MilestoneRef(msgspec.Struct):
    """The milestone that the signal is about."""

    id: str
    title: str


class StatusChange(msgspec.Struct, rename={"from_": "from"}):
    """The transition that the signal announces."""

    from_: Status
    to: Status


class Evidence(msgspec.Struct):
    """Why: the rule in words, what was measured against which threshold, and the message ids that contributed."""

    rule: str
    measured: int | float | str | None = None
    threshold: int | float | str | None = None
    events: list[str] = []
    also: list[str] = []


class Links(msgspec.Struct, omit_defaults=True):
    """Where a person goes next, by the deployment's link template."""

    account: str | None = None


class Signal(msgspec.Struct):
    """One announcement about one account under one plan; `account.erased` is about none.

    `id` is a UUIDv5 over account, plan id, milestone or reason, kind and episode: a replay mints the same. `timestamp`
    is the event's time for milestones, the deadline for what a clock decides, the clock for `recovered`. `*_days` are
    plan days. `sequence` counts the account's signals from 1.
    """

    type: str
    id: str
    timestamp: datetime
    summary: str
    account: AccountRef
    plan: PlanRef | None
    evidence: Evidence
    sequence: int
    milestone: MilestoneRef | None = None
    status: StatusChange | None = None
    reason: Reason | None = None
    likely: Likely | None = None
    to: list[str] = []
    due_at: datetime | None = None
    days_since_start: float | None = None
    ttfv_days: float | None = None
    next: str | None = None
    # Of risks and opportunities the id, and how an opportunity ended.
    risk: str | None = None
    opportunity: str | None = None
    outcome: Outcome | None = None
    links: Links = msgspec.field(default_factory=Links)
    origin: Origin = "live"
    late: bool = False


class Ping(msgspec.Struct, tag="endpoint.ping", tag_field="type"):
    """What `POST /v1/endpoints/{id}/ping` sends."""

    id: str
    timestamp: datetime
    summary: str


decode = msgspec.json.Decoder(Signal).decode
encode = msgspec.json.Encoder().encode
