"""What the engine's API answers, as OpenAPI shows it: the fields that stay, and an example of each answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

AccountStatus = Literal["not_started", "on_track", "at_risk", "stalled", "activated", "paused", "closed"]
_CURSOR = "Send it as `cursor` for what follows; null at the end"
_TIME = "RFC 3339, UTC"
_SUPERSEDED = "Reached under an earlier version of the plan, and not by the condition of now, or not yet"
_ACTIVITY = "Of its people, RFC 3339; the first use in the newest step, of up to a day"


class TimeToFirstValue(BaseModel):
    """Plan days from the start to first value: `gross`, and `net` of pauses and of gaps in the data."""

    gross: float | None
    net: float | None
    before_start: bool = Field(description="First value came before the start; both are 0 then")


class MilestoneDocument(BaseModel):
    """One milestone of a plan for one account."""

    id: str
    title: str
    required: bool
    due_at: str | None = Field(description=_TIME)
    reached_at: str | None = Field(description=_TIME)
    superseded: bool = Field(description=_SUPERSEDED)


class WatchEvidence(BaseModel):
    """What is measured now against which threshold."""

    rule: str
    measured: float | int | str | None
    threshold: float | int | str | None


class OpenRisk(BaseModel):
    """A risk that is open."""

    id: str
    title: str
    opened_at: str = Field(description=_TIME)
    reason: str = Field(description="The rule as the plan states it")
    evidence: WatchEvidence


class OpenOpportunity(OpenRisk):
    """An opportunity that is open."""

    closes_at: str | None = Field(description="When it is missed; " + _TIME)


class Diagnosis(BaseModel):
    """What a person said is wrong, and what is to be done."""

    cause: Literal["fit", "execution"]
    action: str | None
    at: str = Field(description=_TIME)


class AccountPlanRow(BaseModel):
    """An account under one plan."""

    plan: str
    version: int
    phase: str | None
    status: AccountStatus
    reason: str | None = Field(description="The first rule that held when the status was entered")
    segment: str | None = Field(description="Of the plan; null when the plan has none")
    started_at: str | None = Field(description=_TIME)
    first_value_at: str | None = Field(description=_TIME)
    activated_at: str | None = Field(description=_TIME)
    ttfv_days: TimeToFirstValue | None
    completion_rate: float = Field(description="Share of required milestones reached, 0 to 1")
    reached: list[str] = Field(description="Ids of the milestones that are reached, in the order of the plan")
    adoption: float | None = Field(description="Share of core features in use, 0 to 1")
    risks: list[OpenRisk]
    opportunities: list[OpenOpportunity]


class AccountPlanDocument(AccountPlanRow):
    """The same with milestones."""

    milestones: list[MilestoneDocument]


class PersonDocument(BaseModel):
    """One person of the account."""

    id: str
    role: str | None
    last_seen_at: str | None = Field(
        description="RFC 3339; the earliest it can have been, up to a day before it was. Null for those who were "
        "identified and never active"
    )


class AccountRow(BaseModel):
    """One account of the list."""

    id: str
    traits: dict[str, Any]
    last_activity_at: str | None = Field(description=_ACTIVITY)
    diagnosis: Diagnosis | None
    plans: list[AccountPlanRow] = Field(description="Empty when no plan applies")


class AccountDocument(BaseModel):
    """One account."""

    id: str
    traits: dict[str, Any]
    last_activity_at: str | None = Field(description=_ACTIVITY)
    diagnosis: Diagnosis | None
    people: list[PersonDocument]
    plans: list[AccountPlanDocument] = Field(description="Empty when no plan applies")


class AccountList(BaseModel):
    """A page of accounts, by id."""

    data: list[AccountRow]
    next: str | None = Field(description=_CURSOR)


class MeasuredPart(BaseModel):
    """One part of a combined condition."""

    text: str
    met: bool
    measured: float | int | str | None
    threshold: float | int | str | None
    at: str | None = Field(description=_TIME)


class ConditionDocument(BaseModel):
    """A milestone's condition with what was measured for it; `at` is when the milestone was reached."""

    milestone: str
    title: str
    required: bool = Field(description="By the plan, and not waived for this account")
    waived: bool
    waiver_ignored: bool = Field(description="It was waived and is missing all the same: the first value cannot be")
    met: bool
    superseded: bool = Field(description=_SUPERSEDED)
    measured: float | int | str | None
    threshold: float | int | str | None
    at: str | None = Field(description=_TIME)
    due_at: str | None = Field(description=_TIME)
    waiting_for: list[str] = Field(description="Milestones that it needs and that are not reached")
    text: str
    parts: list[MeasuredPart]


class WatchPart(BaseModel):
    """One part of a risk or opportunity."""

    part: str
    holds: bool
    measured: float | int | str | None
    threshold: float | int | str | None


class WatchExplanation(BaseModel):
    """A risk or opportunity of the plan, open or not, and how far each of its parts holds."""

    id: str
    title: str
    rule: str
    open: bool
    opened_at: str | None = Field(description=_TIME)
    looked_at_next: str | None = Field(description="When time alone may open or close it, RFC 3339, UTC")
    parts: list[WatchPart]


class RuleDocument(BaseModel):
    """A rule that holds now, and since when."""

    status: str
    reason: str
    milestone: str | None
    text: str
    at: str | None = Field(description=_TIME)


class EnteredBy(BaseModel):
    """The rule by which the account came into its status: it stays the reason until the status changes."""

    reason: str
    milestone: str | None
    text: str
    at: str = Field(description="When it came to hold; " + _TIME)
    holds: bool = Field(description="False: it holds no longer, as `text` says")


class PlanExplanation(BaseModel):
    """Why the account has its status under one plan, and what would change it."""

    plan: str
    version: int
    status: AccountStatus
    reason: str | None = Field(description="The first rule that held when the status was entered")
    since: str | None = Field(description=_TIME)
    next_due_at: str | None = Field(description="When the status changes unless something happens, RFC 3339, UTC")
    escalates_at: str | None = Field(description="When it escalates unless something happens; null: never, or done")
    next: str
    text: str
    entered_by: EnteredBy | None = Field(description="Null unless at risk or stalled")
    verdict: AccountStatus | None = Field(
        description="The status by what is known now: where it differs from `status`, the next tick decides. Null in a "
        "pause and once closed"
    )
    rules: list[RuleDocument] = Field(description="Those that hold now, the first rule first")
    risks: list[WatchExplanation]
    opportunities: list[WatchExplanation]
    conditions: list[ConditionDocument]


class SnoozeDocument(BaseModel):
    """A snooze that is on."""

    kind: str
    until: str = Field(description=_TIME)
    mutes: bool = Field(description="False: no kind of signal, risk or opportunity of its plans has this name")


class Explanation(BaseModel):
    """The status of an account explained: `text` for people, `plans` for programs."""

    text: str
    clock_at: str | None = Field(description="The time it is judged at: the partition's newest tick; " + _TIME)
    last_activity_at: str | None = Field(description=_ACTIVITY)
    last_event: str | None = Field(description="What its people did last: the first event of their newest use")
    snoozes: list[SnoozeDocument]
    plans: list[PlanExplanation]


class SupersededMilestone(BaseModel):
    """A milestone that an earlier version of its plan found, and the one of now did not, or not yet."""

    plan: str
    milestone: str


class Timeline(BaseModel):
    """Signals exactly as they were sent; their shape is `schemas/json/signal.schema.json`."""

    data: list[dict[str, Any]]
    superseded: list[SupersededMilestone] = Field(
        description="What the plans of now would not tell as reached; it stays reached"
    )
    next: str | None = Field(description=_CURSOR)


class SignalStream(BaseModel):
    """The next signals of the ledger; within an account in the order of `sequence`."""

    data: list[dict[str, Any]]
    next: str = Field(
        description="Send it as `after` for what follows; given also when nothing is left, to wait for more"
    )


class PartitionDocument(BaseModel):
    """How far the engine is on one partition of the events topic."""

    partition: int
    state: Literal["running", "unclaimed", "stopped"]
    owner: str | None
    next_offset: int = Field(description="The first record that is not applied yet")
    last_append_at: str | None = Field(description="Append time of the newest applied record; " + _TIME)
    behind_seconds: float | None = Field(
        description="Age of that record; ticks arrive every 10 s, so much more means a backlog, or that ingest is away"
    )
    clock: str | None = Field(description="Time by the newest tick; " + _TIME)
    holding: bool = Field(description="True: after a gap in the data no deadline fires for now")
    signals: int = Field(description="Signals numbered so far")
    unpublished_signals: int = Field(description="Signals not yet acknowledged by Kafka")
    problem: str | None = Field(description="Why it is stopped, and what to do")


class PartitionList(BaseModel):
    """All partitions."""

    data: list[PartitionDocument]
    next: None = None
