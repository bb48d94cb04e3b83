"""What the catalogue and the insights answer, as OpenAPI shows it. Days are plan days, rates 0 to 1."""

from __future__ import annotations

from pydantic import BaseModel, Field

from services.activation_engine.insights.scope import CohortBy

_TIME = "RFC 3339, UTC"
_COHORT = "A month as 2026-11, a segment or an owner; null for accounts without"
_LEFT_OUT = "Beyond the largest 200"
_INTERVAL = "End of the 95 % interval; null where it is undefined"


class EventNameRow(BaseModel):
    """One event name as sent; times are when the log took it in."""

    name: str
    count: int
    first_seen_at: str = Field(description=_TIME)
    last_seen_at: str = Field(description=_TIME)
    used_by: list[str] = Field(description="Live plans")
    silent: bool = Field(description="In use by a live plan, used to arrive daily, and stopped")


class Catalog(BaseModel):
    """A page of event names."""

    data: list[EventNameRow]
    next: str | None = Field(description="Send it as `cursor` for what follows; null at the end")


class OfPlan(BaseModel):
    """What every insight says first."""

    text: str = Field(description="One or two sentences for people")
    as_of: str | None = Field(description=f"The oldest clock of the partitions, {_TIME}; null before the first tick")
    plan: str
    version: int


class Cohorted(OfPlan):
    """The same where accounts are told apart by cohort."""

    by: CohortBy
    cohorts_left_out: int = Field(description=_LEFT_OUT)


class StatusCounts(BaseModel):
    """Accounts by status."""

    accounts: int
    statuses: dict[str, int]


class StatusCohort(StatusCounts):
    """The same of one cohort."""

    cohort: str | None = Field(description=_COHORT)


class StatusInsight(Cohorted):
    """How many accounts have each status."""

    total: StatusCounts
    cohorts: list[StatusCohort]


class FunnelMilestone(BaseModel):
    """One milestone; a step is the time from the milestone before, of those that reached both."""

    id: str
    title: str
    required: bool
    reached: int
    share: float = Field(description="Of the accounts that started")
    median_days: float | None = Field(description="From the start, of those that reached it")
    p90_days: float | None
    reached_both: int
    step_median_days: float | None
    step_p90_days: float | None


class FunnelSteps(BaseModel):
    """Started accounts and the milestones in the plan's order."""

    accounts: int
    milestones: list[FunnelMilestone]


class FunnelCohort(FunnelSteps):
    """The same of one cohort."""

    cohort: str | None = Field(description=_COHORT)


class FunnelInsight(Cohorted):
    """How many accounts reached each milestone, and when."""

    total: FunnelSteps
    cohorts: list[FunnelCohort]


class Rate(BaseModel):
    """An estimated share with its 95 % interval; null while nobody was watched for so long."""

    rate: float | None
    low: float | None = Field(description=_INTERVAL)
    high: float | None = Field(description=_INTERVAL)


class ActivationRate(Rate):
    """The share that reaches first value within the window of its segment."""

    accounts: int = Field(description="Of the segments of which somebody was watched for a whole window")


class CurvePoint(Rate):
    """The share that has reached first value by a day after the start."""

    day: float
    at_risk: int = Field(description="Accounts that were watched up to this day and had not reached it before")


class TimeToValue(BaseModel):
    """Kaplan-Meier: accounts on the way count for as long as they were watched."""

    accounts: int
    reached: int
    on_the_way: int = Field(description="Closed ones included, which count until they closed")
    median_days: float | None = Field(description="By which half has reached first value; null while fewer have")
    p90_days: float | None = Field(description="By which nine of ten have")
    naive_median_days: float | None = Field(description="Of those that have reached it, which flatters")
    activation_rate: ActivationRate
    curve: list[CurvePoint] = Field(description="At most 100 steps")


class TtfvCohort(TimeToValue):
    """The same of one cohort."""

    cohort: str | None = Field(description=_COHORT)


class TtfvInsight(Cohorted):
    """Time to first value and activation rate."""

    total: TimeToValue
    cohorts: list[TtfvCohort]


class AdoptionShare(BaseModel):
    """How many accounts use this share of the core features."""

    adoption: float
    accounts: int


class FeatureUse(BaseModel):
    """How many accounts use a core feature, as the plan counts it, and which share of those whose adoption is known."""

    feature: str
    accounts: int
    share: float | None


class Use(BaseModel):
    """Started accounts that are not closed. Bands are of active days of the last 30: none 0, low 1-4, medium 5-12, high
    13 and more."""

    accounts: int
    mean_adoption: float | None = Field(
        description="Null when the plan names no core features, or its version has judged no account yet"
    )
    distribution: list[AdoptionShare]
    features: list[FeatureUse] = Field(description="In the order of the plan")
    bands: dict[str, int]


class UseCohort(Use):
    """The same of one cohort."""

    cohort: str | None = Field(description=_COHORT)


class AdoptionInsight(Cohorted):
    """How much accounts use, and how often."""

    total: Use
    cohorts: list[UseCohort]


class LastEvent(BaseModel):
    """How many accounts did this last."""

    event: str
    accounts: int


class Obstacle(BaseModel):
    """A required milestone that accounts wait for: the first in due order that they have not reached."""

    milestone: str
    title: str
    accounts: int
    at_risk: int
    stalled: int
    waiting_median_days: float | None = Field(description="Since the newest required milestone reached, or the start")
    waiting_p90_days: float | None
    last_events: list[LastEvent] = Field(description="The five most frequent")


class ObstaclesInsight(OfPlan):
    """What started accounts that are neither activated, paused nor closed wait for."""

    accounts: int
    obstacles: list[Obstacle]


class OwnerRow(BaseModel):
    """How the accounts of one owner fare."""

    owner: str | None
    accounts: int
    started: int
    activated: int
    at_risk: int
    stalled: int
    activation_rate: ActivationRate
    median_days: float | None = Field(description="To first value, by Kaplan-Meier")


class OwnersInsight(OfPlan):
    """Owners, those with most accounts first."""

    owners: list[OwnerRow]
    owners_left_out: int = Field(description=_LEFT_OUT)


class SurprisingEvent(BaseModel):
    """An event name that no live plan uses."""

    event: str
    count: int
    first_seen_at: str = Field(description=_TIME)
    last_seen_at: str = Field(description=_TIME)


class Surprises(BaseModel):
    """Frequent events that no live plan mentions, over all plans and accounts."""

    text: str
    as_of: str | None = Field(description=f"The newest event of any name, {_TIME}")
    names: int = Field(description="How many names no live plan uses")
    events: list[SurprisingEvent]
