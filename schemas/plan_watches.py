"""Risks and opportunities of a plan file: named rules beside the status, each opened once true and closed again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from schemas.plan_conditions import Condition, EventOrName, Part
from schemas.plan_terms import OneOrMore, Percentage, PositiveDuration, Role, Text, TraitName

WATCHES_MAX = 32
# An account's people and roles are remembered up to here, the most recently active first.
PRESENT_MAX = 16


class FewerThan(Part):
    """One to `lt` - 1; none at all is `quiet: anyone`."""

    lt: int = Field(ge=2, le=PRESENT_MAX)


def _bound_kind(value: Any) -> str:
    return "<fewer>" if isinstance(value, dict | FewerThan) else "<number>"


Bound = Annotated[
    Annotated[Annotated[int, Field(ge=1, le=PRESENT_MAX)], Tag("<number>")] | Annotated[FewerThan, Tag("<fewer>")],
    Discriminator(_bound_kind),
]


class FallPart(Part):
    """The active days of the last 28 fell by this share of the 28 before."""

    down: Percentage


class RiskPart(Part):
    """All keys hold together, unbroken for `for`; it closes by itself once they do not."""

    title: Text | None = None
    quiet: Annotated[list[Role], Field(min_length=1, max_length=PRESENT_MAX), OneOrMore] | None = None
    people: Bound | None = None
    roles: Bound | None = None
    active_days: FallPart | None = None
    missing: TraitName | None = None
    after: EventOrName | None = None
    until: EventOrName | None = None
    before: TraitName | None = None
    within: PositiveDuration | None = None
    unless: Condition | None = None
    for_: PositiveDuration | None = Field(default=None, alias="for")


class OpportunityPart(RiskPart):
    """The same, and it ends `held` once `until` happened or the quiet came back, or `missed` after `open`."""

    healthy: PositiveDuration | None = None
    open: PositiveDuration | None = None
