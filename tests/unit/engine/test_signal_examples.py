"""The examples of signals, which endpoints are sent on request, word for word as one account's story announces them.
`python -m tests.unit.engine.test_signal_examples` writes them; then `python -m schemas.export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.export import EXAMPLES
from schemas.signals import ACCOUNT_TYPES
from services.activation_engine.domain.instants import parse_instant
from services.activation_engine.domain.signals import to_payload
from services.activation_engine.plan_templates import template_text
from tests.builders import DAY_MS, START_MS, command, event, plan, plan_set, traits
from tests.unit.engine.story import Story

# What happens in 2026: to the minute, the event or command, and by whom or with what.
USES = [
    ("10-27T14:30", "Integration Connected", "bo", None),
    ("10-30T10:00", "Data Imported", "ann", "champion"),
    ("11-01T09:15", "Workflow Run", "bo", None),
    ("11-09T16:40", "Workflow Run", "bo", None),
    ("11-17T09:30", "Data Imported", "ann", "champion"),
    ("12-01T15:00", "Workflow Run", "bo", None),
    ("12-02T15:30", "Report Generated", "ann", "champion"),
    ("12-03T11:00", "conversation.held", "ann", "champion"),
    ("12-03T17:45", "Opportunity Influenced", "cy", None),
]
COMMANDS = [
    ("12-18T09:00", "close", {"reason": "contract ended"}),
    ("12-21T12:00", "erase", {}),
]


def at(text: str) -> int:
    """An instant of the year."""
    found = parse_instant(f"2026-{text}Z")
    assert found is not None
    return found


def announced() -> dict[str, dict[str, Any]]:
    """The first signal of each type, as sent."""
    begin = at("10-23T10:00")
    story = Story(plan_set([plan(template_text("b2b-saas"))], version=3), begin=(begin - START_MS) / DAY_MS)
    known: dict[str, Any] = {"name": "Acme", "segment": "smb", "owner": "dana@vendor.example", "crm_id": "0015"}
    story.happens(traits(begin, message="msg-0", contract_start="2026-10-23T10:00:00Z", **known))
    happening = [event(name, at(when), user=user, role=role) for when, name, user, role in USES]
    happening += [command(name, at(when), **fields) for when, name, fields in COMMANDS]
    for number, record in enumerate(happening, 1):
        story.until((record.occurred_at_ms - START_MS) / DAY_MS)
        story.happens(replace(record, message_id=f"msg-{number}"))
    link = "https://crm.vendor.example/accounts/{account}"
    sent = [to_payload(signal, traits=["crm_id"], account_link=link) for signal in story.signals]
    return {signal["type"]: signal for signal in reversed(sent)}


ANNOUNCED = announced()


def written(kind: str) -> Path:
    """The file of a type."""
    return EXAMPLES / kind / "example.json"


@pytest.mark.parametrize("kind", ACCOUNT_TYPES)
def test_an_example_is_what_is_sent(kind: str) -> None:
    """Every field of it."""
    assert json.loads(written(kind).read_text(encoding="utf-8")) == ANNOUNCED[kind]


if __name__ == "__main__":
    for one, signal in ANNOUNCED.items():
        written(one).write_text(json.dumps(signal, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
