"""The plan file: the YAML language in which a team writes down what activation means for its customers.

These models are the shape alone (and the JSON Schema for editors); what the parts mean together the engine checks.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from schemas.plan_conditions import COUNT_MAX, Condition, EventOrName, Part, TestOrValue
from schemas.plan_terms import (
    DueTime,
    Duration,
    EventNames,
    MilestoneId,
    OneOrMore,
    Pace,
    PlanId,
    PositiveDuration,
    Role,
    Text,
    TraitName,
)
from schemas.plan_watches import WATCHES_MAX, OpportunityPart, RiskPart

MILESTONES_MAX = 64
CORE_FEATURES_MAX = 64
EXCLUDED_MAX = 64


class MilestonePart(Part):
    """One dated checkable result. Without `when` it is reached by hand (the trait `reached.<milestone>`)."""

    title: Text | None = None
    due: DueTime | None = None
    needs: list[MilestoneId] = Field(default=[], max_length=MILESTONES_MAX)
    required: bool = True
    when: Condition | None = None


class SegmentPart(Part):
    """How much time this kind of account is given."""

    pace: Pace = 1.0
    window: PositiveDuration | None = None


class StalledPart(Part):
    """When an account counts as stalled."""

    overdue: Duration | None = None
    quiet: PositiveDuration | None = None


class ActivityPart(Part):
    """Which events are no use of the product, by name or by a prefix `a.*`."""

    exclude: Annotated[list[Text], Field(min_length=1, max_length=EXCLUDED_MAX), OneOrMore]


class CoreFeaturesPart(Part):
    """Features that count for adoption, each in use once its event came on so many distinct days."""

    days: int = Field(ge=1, le=COUNT_MAX)
    of: list[EventOrName] = Field(min_length=1, max_length=CORE_FEATURES_MAX)


def _value_kind(value: Any) -> str:
    return "<values>" if isinstance(value, dict) else "<value>"


# One duration for everybody, or one for each segment, with `else` for the others.
PerSegment = Annotated[
    Annotated[PositiveDuration, Tag("<value>")] | Annotated[dict[Text, PositiveDuration], Tag("<values>")],
    Discriminator(_value_kind),
]


class EscalatePart(Part):
    """Who else is told, once, of an account that is not activated by `at` after its start."""

    at: PerSegment
    unless: Condition | None = None
    to: Annotated[list[Role], Field(min_length=1, max_length=16), OneOrMore] = Field(default=["owner"])


def _segment_kind(value: Any) -> str:
    return "<name>" if isinstance(value, str) else "<segment>"


SegmentOrName = Annotated[
    Annotated[Text, Tag("<name>")] | Annotated[SegmentPart, Tag("<segment>")],
    Discriminator(_segment_kind),
]


class PlanFile(Part):
    """One plan."""

    plan: PlanId
    title: Text | None = None
    events: dict[Text, EventNames] = Field(default={}, max_length=255)
    day: PositiveDuration = "24h"
    activity: ActivityPart | None = None
    start: Annotated[list[Text], Field(min_length=1, max_length=16), OneOrMore] = Field(default=["first_event"])
    segments: dict[Text, SegmentOrName] | None = Field(default=None, min_length=1, max_length=65)
    grace: Duration = "1h"
    milestones: dict[MilestoneId, MilestonePart] = Field(min_length=1, max_length=MILESTONES_MAX)
    first_value: MilestoneId
    core_features: CoreFeaturesPart | None = None
    stalled: StalledPart = StalledPart()
    at_risk_after: PerSegment | None = None
    escalate: EscalatePart | None = None
    risks: dict[MilestoneId, RiskPart] = Field(default={}, max_length=WATCHES_MAX)
    opportunities: dict[MilestoneId, OpportunityPart] = Field(default={}, max_length=WATCHES_MAX)
    applies_to: Annotated[dict[TraitName, TestOrValue], Field(min_length=1, max_length=16)] | None = None

    def content(self) -> dict[str, Any]:
        """What the file says without comments, key order and defaults; equal content is the same plan version."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


for _model in (MilestonePart, PlanFile):
    _model.model_rebuild()
