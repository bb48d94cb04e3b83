"""Load a plan: YAML text, or the stored content of a published version, into a checked plan with its content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.plan_file import PlanFile
from services.activation_engine.domain.plan import Plan
from services.activation_engine.plans.checks import check
from services.activation_engine.plans.compiler import compile_plan
from services.activation_engine.plans.errors import PlanErrors
from services.activation_engine.plans.shape import read_shape
from services.activation_engine.plans.source import Source

__all__ = ["CheckedPlan", "PlanErrors", "load_plan", "plan_from_content"]


class CheckedPlan(msgspec.Struct, frozen=True):
    """A plan that passed every check. `content` is what `plan_from_content` takes, free of comments and defaults; equal
    `hash` means equal content."""

    plan: Plan
    hash: str
    content: dict[str, Any]
    title: str


def load_plan(text: str, *, file: str = "plan.yaml") -> CheckedPlan:
    """A plan from YAML. Raises PlanErrors with file, line, column and path of each finding."""
    source = Source(text, file)
    shape, misshapen = read_shape(source)
    if shape is None:
        raise PlanErrors(misshapen, more_follow=True)
    found = [*misshapen, *check(shape, source)]
    if found:
        raise PlanErrors(found)
    return _checked(shape)


def plan_from_content(content: dict[str, Any]) -> CheckedPlan:
    """A plan from the `content` of a plan that was checked when it was published."""
    return _checked(PlanFile.model_validate(content))


def _checked(shape: PlanFile) -> CheckedPlan:
    content = shape.content()
    plan = compile_plan(shape, content_hash(content))
    return CheckedPlan(plan, plan.hash, content, plan.title)


def content_hash(content: Mapping[str, Any]) -> str:
    """The name of a content, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
