"""Where a plan file refers to events and milestones: every condition with its path, inner ones too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from schemas.plan_conditions import AllCondition, AnyCondition, AtLeastCondition, EventTest
from schemas.plan_file import PlanFile
from services.activation_engine.plans.errors import Path
from services.activation_engine.plans.selectors import is_event

Placed = tuple[Path, Any]


def conditions(file: PlanFile) -> Iterator[Placed]:
    """Every condition that a rule of the file has, outermost only."""
    for name, part in file.milestones.items():
        if part.when is not None:
            yield ("milestones", name, "when"), part.when
    if file.escalate is not None and file.escalate.unless is not None:
        yield ("escalate", "unless"), file.escalate.unless
    for kind, watches in (("risks", file.risks), ("opportunities", file.opportunities)):
        for name, watch in watches.items():
            if watch.unless is not None:
                yield (kind, name, "unless"), watch.unless


def loop_ends(file: PlanFile) -> Iterator[Placed]:
    """Every `after` and `until`: an event or a milestone each."""
    for kind, watches in (("risks", file.risks), ("opportunities", file.opportunities)):
        for name, watch in watches.items():
            if watch.after is not None:
                yield (kind, name, "after"), watch.after
            if watch.until is not None:
                yield (kind, name, "until"), watch.until


def features(file: PlanFile) -> Iterator[Placed]:
    """Every core feature."""
    for index, one in enumerate(file.core_features.of if file.core_features else ()):
        yield ("core_features", "of", index), one


def walk(path: Path, condition: Any) -> Iterator[Placed]:
    """A condition and all that it is made of."""
    yield path, condition
    match condition:
        case AnyCondition(any=parts):
            inner, steps = parts, (*path, "any")
        case AllCondition(all=parts):
            inner, steps = parts, (*path, "all")
        case AtLeastCondition(at_least=threshold):
            inner, steps = threshold.of, (*path, "at_least", "of")
        case _:
            return
    for index, part in enumerate(inner):
        yield from walk((*steps, index), part)


def combined(condition: Any, holds: Callable[[Any], bool]) -> bool:
    """What `any`, `all` and `at_least` make of their parts; every other condition is asked by `holds`."""
    match condition:
        case AnyCondition(any=parts):
            return any(combined(one, holds) for one in parts)
        case AllCondition(all=parts):
            return all(combined(one, holds) for one in parts)
        case AtLeastCondition(at_least=threshold):
            return sum(combined(one, holds) for one in threshold.of) >= threshold.n
    return holds(condition)


def all_terms(file: PlanFile) -> Iterator[Placed]:
    """Every condition of the file and all that it is made of, core features and ends of loops included."""
    for path, condition in conditions(file):
        yield from walk(path, condition)
    yield from features(file)
    yield from loop_ends(file)


def event_names(file: PlanFile) -> Iterator[tuple[Path, str]]:
    """Every event name that is asked for, by plan name or as sent, and patterns."""
    for path, term in all_terms(file):
        if isinstance(term, EventTest):
            yield (*path, "event"), term.event
        elif isinstance(term, str) and is_event(term):
            yield path, term
    for index, name in enumerate(file.activity.exclude if file.activity else ()):
        yield ("activity", "exclude", index), name


def milestones_in(condition: Any) -> Iterator[str]:
    """The milestones that a condition is made of."""
    for _, part in walk((), condition):
        if isinstance(part, str) and not is_event(part):
            yield part
