"""Names that a filter asks for and no plan has: the list that is empty for them would say nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from services.activation_engine.domain.plan import Plan

Kind = Literal["segment", "milestone"]


class NameUnknown(Exception):
    """None of these plans has a segment or milestone of this name; `known` are those that they have."""

    def __init__(self, kind: Kind, name: str, *, plans: Iterable[str], known: Collection[str]) -> None:
        super().__init__(f"unknown {kind}")
        self.kind, self.name = kind, name
        self.plans, self.known = sorted(plans), sorted(known)


def require_names(plans: Collection[Plan], *, segment: str | None = None, milestone: str | None = None) -> None:
    """Raises NameUnknown for what none of the plans has."""
    segments = {one for plan in plans if plan.segmented for one in plan.segments}
    milestones = {one for plan in plans for one in plan.by_id}
    asked: tuple[tuple[Kind, str | None, set[str]], ...] = (
        ("segment", segment, segments),
        ("milestone", milestone, milestones),
    )
    for kind, name, known in asked:
        if name is not None and name not in known:
            raise NameUnknown(kind, name, plans=[plan.id for plan in plans], known=known)
