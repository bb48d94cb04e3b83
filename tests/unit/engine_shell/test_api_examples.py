"""The examples of the engine's OpenAPI document, word for word as they are answered about one account's story."""

from __future__ import annotations

from typing import Any

import pytest

from services.activation_engine.api import examples, plan_bodies
from services.activation_engine.domain.description import describe
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.instants import parse_instant
from services.activation_engine.domain.signals import to_payload
from services.activation_engine.plans.loader import PlanErrors, load_plan
from tests.builders import DAY_MS, START_MS, command, event, plan, plan_set, traits
from tests.unit.engine.story import Story


def at(text: str) -> int:
    """An instant of the story."""
    found = parse_instant(f"{text}Z")
    assert found is not None
    return found


def in_story(text: str) -> float:
    """The same in days of the tests."""
    return (at(text) - START_MS) / DAY_MS


@pytest.fixture(scope="module")
def story() -> Story:
    """Acme imported data in time and has made no report since."""
    told = Story(plan_set([plan(examples.PLAN_YAML)], version=3), begin=in_story("2026-10-22T09:00"))
    known: dict[str, Any] = {"name": "Acme", "segment": "smb", "owner": "dana@vendor.example", "crm_id": "0015"}
    told.happens(traits(at("2026-10-22T10:00"), **known, contract_start="2026-10-22T10:00:00Z"))
    told.until(in_story("2026-10-30T08:00"))
    told.happens(event("Data Imported", at("2026-10-30T08:12"), user="u-7", role="champion"))
    told.until(in_story("2026-11-05T09:00"))
    told.happens(event("", at("2026-11-05T09:20"), kind="identify", user="u-9", role="executive"))
    told.happens(event("Report Opened", at("2026-11-05T09:30"), user="u-7", role="champion"))
    told.until(in_story("2026-11-15T12:00"))
    told.happens(command("diagnose", at("2026-11-15T12:00"), cause="execution", action="help"))
    told.happens(command("snooze", at("2026-11-15T12:00"), kind="escalated", until="2026-12-01T00:00:00Z"))
    told.until(in_story("2026-11-16T08:00"))
    told.happens(event("Data Imported", at("2026-11-16T08:05"), user="u-7", role="champion"))
    told.until(in_story("2026-11-16T10:00"))
    return told


def test_an_account_is_shown_as_in_its_example(story: Story) -> None:
    """Alone, in a list, and explained."""
    known = story.accounts["acme"], story.plans, story.clock
    assert describe(*known) == examples.ACCOUNT
    assert describe(*known, briefly=True) == examples.ACCOUNTS["data"][0]
    assert explain(*known) == examples.EXPLANATION


def test_a_signal_is_sent_as_in_its_example(story: Story) -> None:
    """With the one trait that is allowed out."""
    assert to_payload(story.signals[-1], traits=["crm_id"]) == examples.SIGNAL


def test_a_plan_is_answered_as_in_its_example() -> None:
    """Its hash, and what is wrong with a misspelt one."""
    assert load_plan(examples.PLAN_YAML).hash == examples.PLAN_VERSION["hash"]
    with pytest.raises(PlanErrors) as error:
        load_plan(examples.PLAN_YAML.replace("needs: [first_data]", "needs: [first_dat]"), file="b2b-saas.yaml")
    problem = plan_bodies._invalid(error.value.to_list())
    assert (problem.status, problem.code, problem.message) == plan_bodies.PLAN_INVALID
