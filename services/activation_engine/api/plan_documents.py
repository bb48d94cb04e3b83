"""What the engine's API answers about plans, as OpenAPI shows it: the fields that stay."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

_CURSOR = "Send it as `cursor` for what follows; null at the end"
_TIME = "RFC 3339, UTC"


class PlanWarning(BaseModel):
    """Something in a valid plan that may be a mistake; the errors of an invalid one have the same fields."""

    file: str
    line: int = Field(description="From 1, as is `column`")
    column: int
    path: str = Field(description="Where in the plan, such as `milestones.first_output.when`")
    code: Literal["event_never_seen", "event_silent", "escalates_late"]
    message: str
    hint: str = Field(description="What to do")


class PlanEffect(BaseModel):
    """What publishing a plan does to its accounts, and what may be a mistake in it."""

    counts_from_publish: list[str] = Field(
        description="Milestones with a condition that no live plan had before: it counts only what comes from now on; "
        "what accounts had reached by another condition stays reached"
    )
    newly_required: list[str] = Field(
        description="Milestones that were not required before and that activated accounts are not known to have reached"
    )
    fall_back_max: int = Field(
        description="So many activated accounts at most are on the way again for these; not those for which they are "
        "marked or waived"
    )
    milestones_removed: list[str] = Field(description="Milestones of the version before that this one does not have")
    events_dropped: list[str] = Field(
        description="Event names that came within 90 plan days and have not gone silent, that the version before asked "
        "for and this one does not"
    )
    warnings: list[PlanWarning] = Field(description="In the order of the file")


class PublishedPlan(PlanEffect):
    """What publishing did."""

    plan: str
    version: int
    hash: str = Field(description="Of the validated content; comments and the order of keys do not matter")
    changed: bool = Field(description="False: this was the newest version already")
    live: bool = Field(description="True: every partition judges events accepted from now on by this version")


class RetiredPlan(BaseModel):
    """What retiring did."""

    plan: str
    version: int = Field(description="The last version, by which the plan ended")
    changed: bool = Field(description="False: it was retired already")
    retired: bool = Field(description="True: no partition judges by the plan any more")


class CheckedPlanDocument(PlanEffect):
    """A plan that could be published."""

    plan: str
    title: str
    hash: str
    valid: Literal[True] = True


class PlanVersionDocument(BaseModel):
    """One published version of a plan."""

    plan: str
    title: str
    version: int
    hash: str
    policy: Literal["silent", "emit", "retired"]
    published_at: str = Field(description=_TIME)
    live: bool = Field(description="Whether every partition has adopted this or a newer version")


class PlanContentDocument(PlanVersionDocument):
    """One published version, whole."""

    content: dict[str, Any] = Field(description="The validated plan, defaults filled in")
    source: str = Field(description="The YAML as it was published")


class PlanDocument(PlanContentDocument):
    """The newest version of a plan, whole, and the versions before it."""

    versions: list[PlanVersionDocument] = Field(description="Newest first, the newest 100")


class PlanList(BaseModel):
    """A page of plans, by id, each by its newest version."""

    data: list[PlanVersionDocument]
    next: str | None = Field(description=_CURSOR)
