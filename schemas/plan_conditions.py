"""Conditions of a plan file: what reaches a milestone, and what the rules beside the milestones ask for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_serializer, model_validator

from schemas.plan_terms import Percentage, Text, Value

# Counts, distinct people and distinct days are exact up to here.
COUNT_MAX = 64
PARTS_MAX = 64


class Part(BaseModel):
    """A part of a plan file: no key but its own, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class ValueTest(Part):
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


class EventTest(Part):
    """An event, by plan name, as sent, `*` or a prefix `a.*`, that passes `where`."""

    event: Text
    where: Where | None = None


class EventCondition(EventTest):
    """`count` distinct ones, or those of `people` distinct people, or on `days` distinct days."""

    count: int = Field(default=1, ge=1, le=COUNT_MAX)
    people: int | None = Field(default=None, ge=1, le=COUNT_MAX)
    days: int | None = Field(default=None, ge=1, le=COUNT_MAX)

    @model_validator(mode="after")
    def _one_measure(self) -> EventCondition:
        if len({"count", "people", "days"} & self.model_fields_set) > 1:
            raise ValueError("has two measures; leave one of `count`, `people` and `days`")
        return self


class PeopleCondition(Part):
    """So many distinct people were active."""

    people: int = Field(ge=1, le=COUNT_MAX)


class DaysCondition(Part):
    """Somebody was active on so many distinct days."""

    days: int = Field(ge=1, le=COUNT_MAX)


class AdoptionCondition(Part):
    """This share of the plan's `core_features` is in use."""

    adoption: Percentage


class AnyCondition(Part):
    """One of the parts."""

    any: list[Condition] = Field(min_length=1, max_length=PARTS_MAX)


class AllCondition(Part):
    """Every part."""

    all: list[Condition] = Field(min_length=1, max_length=PARTS_MAX)


class Threshold(Part):
    """`n` of the parts."""

    n: int = Field(ge=1, le=PARTS_MAX)
    of: list[Condition] = Field(min_length=1, max_length=PARTS_MAX)


class AtLeastCondition(Part):
    """`at_least: {n: 2, of: [...]}`."""

    at_least: Threshold


# By the key that tells the form; `event` first, for it takes the keys of others.
CONDITION_FORMS: dict[str, type[Part]] = {
    "event": EventCondition,
    "people": PeopleCondition,
    "days": DaysCondition,
    "adoption": AdoptionCondition,
    "any": AnyCondition,
    "all": AllCondition,
    "at_least": AtLeastCondition,
}


def _condition_kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, dict):
        return next((f"<{form}>" for form in CONDITION_FORMS if form in value), None)
    return next((f"<{form}>" for form, model in CONDITION_FORMS.items() if isinstance(value, model)), None)


Condition = Annotated[
    Annotated[Text, Tag("<name>")]
    | Annotated[EventCondition, Tag("<event>")]
    | Annotated[PeopleCondition, Tag("<people>")]
    | Annotated[DaysCondition, Tag("<days>")]
    | Annotated[AdoptionCondition, Tag("<adoption>")]
    | Annotated[AnyCondition, Tag("<any>")]
    | Annotated[AllCondition, Tag("<all>")]
    | Annotated[AtLeastCondition, Tag("<at_least>")],
    Discriminator(
        _condition_kind,
        custom_error_type="condition_form",
        custom_error_message="write an event name, a milestone, or {event: …}, {any: […]}, {all: […]}, {at_least: …}",
    ),
]


def _name_kind(value: Any) -> str:
    return "<event_test>" if isinstance(value, dict | EventTest) else "<name>"


# A bare name, or an event with a test of its properties.
EventOrName = Annotated[
    Annotated[Text, Tag("<name>")] | Annotated[EventTest, Tag("<event_test>")],
    Discriminator(_name_kind),
]

for _model in (AnyCondition, AllCondition, Threshold, AtLeastCondition):
    _model.model_rebuild()
