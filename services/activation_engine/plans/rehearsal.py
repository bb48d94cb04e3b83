"""Trying a plan out on an example stream: records on a virtual clock, and what is announced about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.activation_engine.domain.event import Event, InvalidBody
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.plain_fold import Oracle, Tick
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.signals import CandidateSignal
from services.activation_engine.plans.examples import Example, Happening

# One announced signal as `expected` writes it: day, account, type, and what it is about.
Line: TypeAlias = dict[str, Any]

# Day 0: Monday, 2 November 2026, 00:00 UTC.
BEGIN_MS = 1_793_577_600_000
# Shorter than what the engine takes for a hole, and a whole number of them is a day of 24 hours.
_STEP_MS = 216_000
_STEPS_PER_DAY_MIN = 400
# Lines say the quarter of a day in which something was announced.
_SHOWN_PER_DAY = 4


class Outcome(Struct, frozen=True):
    """What was announced, in order, and how that differs from what was expected."""

    announced: list[Line]
    missing: list[Line]
    unexpected: list[Line]

    @property
    def as_expected(self) -> bool:
        """Whether nothing is missing and nothing more."""
        return not self.missing and not self.unexpected


def rehearse(plan: Plan, example: Example) -> Outcome:
    """Replay the example under the plan and compare. Raises PlanErrors when a record cannot be applied."""
    announced = list(replay(plan, example))
    return Outcome(announced, _without(example.expected, announced), _without(announced, example.expected))


def replay(plan: Plan, example: Example) -> Iterator[Line]:
    """What is announced about the example's records, with ticks as an engine would get them."""
    story, people = Oracle(PlanSet.of([LivePlan(plan, version=1)])), _People()
    steps = max(_STEPS_PER_DAY_MIN, -(-plan.day_ms // _STEP_MS))
    waiting = sorted(enumerate(example.records), key=lambda one: one[1].day)
    for step in range(round(example.days * steps) + 1):
        now = BEGIN_MS + step * plan.day_ms // steps
        announced = story.take(Tick(now, now, now))
        while waiting and _at(plan, waiting[0][1].day) <= now:
            number, happening = waiting.pop(0)
            announced += _take(story, plan, people.introduce(happening), number)
        yield from (_line(step / steps, signal) for signal in announced)


class _People:
    """What identify records said about people, which ingest puts on their later records: the newest role, and whether
    they are staff."""

    def __init__(self) -> None:
        self._roles: dict[str, str] = {}
        self._staff: set[str] = set()

    def introduce(self, what: Happening) -> Happening:
        """The record as the engine gets it."""
        user = what.user
        if user is None:
            return what
        role = what.role
        if what.kind == "identify":
            role = role or _role(what.fields.get("role"))
            self._roles |= {user: role} if role else {}
            self._staff |= {user} if what.staff else set()
        return replace(what, role=role or self._roles.get(user), staff=what.staff or user in self._staff)


def _role(trait: Any) -> str | None:
    return trait.strip() or None if isinstance(trait, str) else None


def _take(story: Oracle, plan: Plan, happening: Happening, number: int) -> list[CandidateSignal]:
    try:
        return [signal for record in _records(plan, happening, number) for signal in story.take(record)]
    except InvalidBody as error:
        raise happening.refused(str(error)) from error


def _at(plan: Plan, day: float) -> int:
    return BEGIN_MS + round(day * plan.day_ms)


def _records(plan: Plan, what: Happening, number: int) -> list[Event]:
    at = _at(plan, what.day)
    fields = {name: _dated(plan, value) for name, value in what.fields.items()}
    body = {"traits": fields} if what.name == "set" else fields if what.kind == "command" else {"properties": fields}
    one = Event(
        account_id=what.account,
        message_id=f"example-{number}",
        type=what.kind,
        name=what.name,
        user_id=what.user,
        occurred_at_ms=at,
        received_at_ms=at,
        appended_at_ms=at,
        staff=what.staff,
        role=what.role,
        body=msgspec.json.encode(body),
    )
    return [one] * (1 + what.repeat)


def _dated(plan: Plan, value: Any) -> Any:
    """`day 60` as that day's instant."""
    if isinstance(value, str) and value.startswith("day "):
        try:
            return rfc3339(_at(plan, float(value[4:])))
        except ValueError:
            return value
    return value


def _line(day: float, signal: CandidateSignal) -> Line:
    about = {
        "milestone": signal.milestone_id,
        "risk": signal.risk,
        "opportunity": signal.opportunity,
        "outcome": signal.outcome,
        "reason": signal.reason,
    }
    shown = int(day * _SHOWN_PER_DAY) / _SHOWN_PER_DAY
    line = {"day": shown, "account": signal.account_id, "type": signal.type.removeprefix("account.")}
    return line | {name: value for name, value in about.items() if value is not None}


def _without(lines: list[Line], others: list[Line]) -> list[Line]:
    """Those lines that the others do not have, each counted as often as it is there."""
    left = Counter(map(_key, others))
    found: list[Line] = []
    for line in lines:
        key = _key(line)
        if left[key]:
            left[key] -= 1
        else:
            found.append(line)
    return found


def _key(line: Line) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(line.items()))
