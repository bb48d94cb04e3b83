"""The plan file: the YAML language in which a team writes down what activation means for its customers.

These models are the shape alone (and the JSON Schema for editors); what the parts mean together the engine checks.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_serializer,
    model_validator,
)

from schemas.plan_terms import (
    DueTime,
    Duration,
    EventNames,
    MilestoneId,
    Pace,
    PlanId,
    PositiveDuration,
    Text,
    TraitName,
    Value,
    one_or_more,
)

MILESTONES_MAX = 64
COUNT_MAX = 64

# Part of the language that this release does not run yet: refused by name instead of as a typing error.
UNSUPPORTED_KEYS = frozenset({"activity", "core_features", "escalate", "opportunities", "risks"})
UNSUPPORTED_CONDITIONS = frozenset({"adoption", "days", "people"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class ValueTest(_Part):
    """Operators on one value; all of them must hold."""

    eq: Value = None
    ne: Value = None
    in_: list[Value] | None = Field(default=None, alias="in", min_length=1, max_length=255)
    gt: int | float | str | None = None
    gte: int | float | str | None = None
    lt: int | float | str | None = None
    lte: int | float | str | None = None
    exists: bool | None = None
    contains: Value = None
    prefix: str | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> ValueTest:
        if not self.model_fields_set:
            raise ValueError("needs an operator: eq, ne, in, gt, gte, lt, lte, exists, contains or prefix")
        return self

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {name.rstrip("_"): getattr(self, name) for name in sorted(self.model_fields_set)}


def _test_kind(value: Any) -> str:
    return "<test>" if isinstance(value, dict | ValueTest) else "<value>"


# A bare value is short for `eq`.
TestOrValue = Annotated[
    Annotated[ValueTest, Tag("<test>")] | Annotated[Value, Tag("<value>")],
    Discriminator(_test_kind),
]
Where = Annotated[dict[Text, TestOrValue], Field(min_length=1, max_length=16)]


class EventCondition(_Part):
    """An event, by plan name, as sent, `*` or a prefix `a.*`; `count` distinct ones, each passing `where`."""

    event: Text
    where: Where | None = None
    count: int = Field(default=1, ge=1, le=COUNT_MAX)


class AnyCondition(_Part):
    """One of the parts."""

    any: list[Condition] = Field(min_length=1, max_length=64)


class AllCondition(_Part):
    """Every part."""

    all: list[Condition] = Field(min_length=1, max_length=64)


class Threshold(_Part):
    """`n` of the parts."""

    n: int = Field(ge=1, le=64)
    of: list[Condition] = Field(min_length=1, max_length=64)


class AtLeastCondition(_Part):
    """`at_least: {n: 2, of: [...]}`."""

    at_least: Threshold


_FORMS = {"event": EventCondition, "any": AnyCondition, "all": AllCondition, "at_least": AtLeastCondition}


def _condition_kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, dict):
        return next((f"<{form}>" for form in _FORMS if form in value), None)
    return next((f"<{form}>" for form, model in _FORMS.items() if isinstance(value, model)), None)


Condition = Annotated[
    Annotated[Text, Tag("<name>")]
    | Annotated[EventCondition, Tag("<event>")]
    | Annotated[AnyCondition, Tag("<any>")]
    | Annotated[AllCondition, Tag("<all>")]
    | Annotated[AtLeastCondition, Tag("<at_least>")],
    Discriminator(
        _condition_kind,
        custom_error_type="condition_form",
        custom_error_message="write an event name, a milestone, or {event: …}, {any: […]}, {all: […]}, {at_least: …}",
    ),
]


class MilestonePart(_Part):
    """One dated checkable result. Without `when` it is reached by hand (the trait `reached.<milestone>`)."""

    title: Text | None = None
    due: DueTime | None = None
    needs: list[MilestoneId] = Field(default=[], max_length=MILESTONES_MAX)
    required: bool = True
    when: Condition | None = None


class SegmentPart(_Part):
    """How much time this kind of account is given."""

    pace: Pace = 1.0
    window: PositiveDuration | None = None


class StalledPart(_Part):
    """When an account counts as stalled."""

    overdue: Duration | None = None
    quiet: PositiveDuration | None = None


def _segment_kind(value: Any) -> str:
    return "<name>" if isinstance(value, str) else "<segment>"


SegmentOrName = Annotated[
    Annotated[Text, Tag("<name>")] | Annotated[SegmentPart, Tag("<segment>")],
    Discriminator(_segment_kind),
]


class PlanFile(_Part):
    """One plan."""

    plan: PlanId
    title: Text | None = None
    events: dict[Text, EventNames] = Field(default={}, max_length=255)
    day: PositiveDuration = "24h"
    start: Annotated[list[Text], BeforeValidator(one_or_more), Field(min_length=1, max_length=16)] = ["first_event"]
    segments: dict[Text, SegmentOrName] | None = Field(default=None, min_length=1, max_length=65)
    grace: Duration = "1h"
    milestones: dict[MilestoneId, MilestonePart] = Field(min_length=1, max_length=MILESTONES_MAX)
    first_value: MilestoneId
    stalled: StalledPart = StalledPart()
    at_risk_after: PositiveDuration | dict[Text, PositiveDuration] | None = None
    applies_to: Annotated[dict[TraitName, TestOrValue], Field(min_length=1, max_length=16)] | None = None

    def content(self) -> dict[str, Any]:
        """What the file says without comments, key order and defaults; equal content is the same plan version."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


for _model in (AnyCondition, AllCondition, Threshold, AtLeastCondition, MilestonePart, PlanFile):
    _model.model_rebuild()
