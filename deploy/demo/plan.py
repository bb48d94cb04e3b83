"""The demo's plan: the built-in B2B SaaS plan, unchanged but for the length of a day."""

from __future__ import annotations

from services.activation_engine.plan_templates import template_text

PLAN_ID = "b2b-saas"


def plan_text(*, day: str) -> str:
    """The plan file with `day`, such as `800ms`, in which all its durations are counted."""
    head, line, rest = template_text(PLAN_ID).partition(f"plan: {PLAN_ID}\n")
    assert line, "the built-in plan names itself on a line of its own"
    return f"{head}{line}day: {day}\n{rest}"
