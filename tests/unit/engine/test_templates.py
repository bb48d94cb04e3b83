"""Every built-in plan does with its example stream what the example says, on a virtual clock."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
from ruamel.yaml import YAML

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.plan_templates import TEMPLATES, template_text
from services.activation_engine.plans.loader import load_plan
from tests.builders import day, event, plan_set, traits
from tests.fakes.oracle import Oracle, Tick

TICKS_PER_DAY = 400
SHOWN_PER_DAY = 4


def example(name: str) -> dict[str, Any]:
    """The example stream of a template."""
    text = files("services.activation_engine.plan_templates").joinpath(f"{name}.example.yaml").read_text("utf-8")
    loaded = YAML(typ="safe", pure=True).load(text)
    assert isinstance(loaded, dict)
    return loaded


def records(line: dict[str, Any]) -> list[Event]:
    """The records of one line: a `set` command, or an event, sent again `repeat` times."""
    at, account = day(line["day"]), line["account"]
    if "set" in line:
        return [traits(at, account=account, **{name: dated(value) for name, value in line["set"].items()})]
    message = f"{account}-{line['day']}-{line['event']}"
    one = event(line["event"], at, account=account, user=line["user"], message=message)
    return [one] * (1 + line.get("repeat", 0))


def dated(value: Any) -> Any:
    """`day 60` as that day's instant."""
    return rfc3339(day(float(value[4:]))) if isinstance(value, str) and value.startswith("day ") else value


def replay(name: str) -> list[dict[str, Any]]:
    """What is announced, line by line in the form of `expected`."""
    story, given = Oracle(plan_set([load_plan(template_text(name)).plan])), example(name)
    waiting = sorted(given["records"], key=lambda line: line["day"])
    told: list[dict[str, Any]] = []
    for number in range(given["days"] * TICKS_PER_DAY + 1):
        now = day(number / TICKS_PER_DAY)
        announced = story.take(Tick(now, now, now))
        while waiting and day(waiting[0]["day"]) <= now:
            announced += [signal for one in records(waiting.pop(0)) for signal in story.take(one)]
        told += [shown(number / TICKS_PER_DAY, signal) for signal in announced]
    return told


def shown(number: float, signal: Any) -> dict[str, Any]:
    """One signal as a line of `expected`."""
    line = {"day": int(number * SHOWN_PER_DAY) / SHOWN_PER_DAY, "account": signal.account_id}
    line["type"] = signal.type.removeprefix("account.")
    if signal.milestone_id:
        line["milestone"] = signal.milestone_id
    return line | ({"reason": signal.reason} if signal.reason else {})


@pytest.mark.parametrize("name", TEMPLATES)
def test_example_of_template(name: str) -> None:
    """Signal by signal, none missing and none more."""
    assert replay(name) == [dict(line) for line in example(name)["expected"]]
