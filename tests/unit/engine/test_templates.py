"""Every built-in plan does with its example stream what the example says, on a virtual clock."""

from __future__ import annotations

import pytest

from services.activation_engine.plan_templates import TEMPLATES, example_text, template_text
from services.activation_engine.plans.advice import advise
from services.activation_engine.plans.examples import load_example
from services.activation_engine.plans.loader import load_plan
from services.activation_engine.plans.rehearsal import rehearse


@pytest.mark.parametrize("name", TEMPLATES)
def test_example_of_template(name: str) -> None:
    """Signal by signal, in order, none missing and none more."""
    example = load_example(example_text(name), file=f"{name}.example.yaml")
    outcome = rehearse(load_plan(template_text(name)).plan, example)
    assert outcome.announced == example.expected
    assert outcome.as_expected


@pytest.mark.parametrize("name", TEMPLATES)
def test_example_shows_the_plan(name: str) -> None:
    """Each milestone, risk and opportunity of a template comes up in its example, and some account escalates."""
    plan, example = load_plan(template_text(name)).plan, load_example(example_text(name))
    told = {
        one.get("milestone") or one.get("risk") or one.get("opportunity") or one["type"] for one in example.expected
    }
    watched = {one.id for one in (*plan.risks, *plan.opportunities)}
    assert {*plan.display_order, *watched, "escalated"} <= told


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_deserves_no_advice(name: str) -> None:
    """Checked without a catalogue."""
    assert advise(template_text(name), file=name) == []
