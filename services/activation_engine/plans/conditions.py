"""Conditions of a plan file as conditions of the domain: names resolved, aliases applied, equal leaves made equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.plan_file import AllCondition, AnyCondition, AtLeastCondition, EventCondition, PlanFile, ValueTest
from services.activation_engine.domain.conditions import AtLeast, Condition, Leaf, MilestoneReached
from services.activation_engine.domain.predicates import Predicate
from services.activation_engine.domain.trackers import CountTracker, FirstTracker, Selector, tracker

_WORDS = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "gt": "is above",
    "gte": "is at least",
    "lt": "is below",
    "lte": "is at most",
    "contains": "contains",
    "prefix": "begins with",
}


def is_event(name: str) -> bool:
    """Whether a bare name is an event: those have a dot (or are `*`), milestones never do."""
    return "." in name or name == "*"


def pattern_prefix(name: str) -> str | None:
    """What `*` and `a.*` match the beginning of; None for a plain name."""
    if name == "*":
        return ""
    return name[:-1] if name.endswith(".*") else None


def compile_condition(condition: Any, file: PlanFile, titles: Mapping[str, str]) -> Condition:
    """A condition that passed the checks."""
    match condition:
        case str() if is_event(condition):
            return _leaf(EventCondition(event=condition), file)
        case str():
            return MilestoneReached(condition, titles[condition])
        case EventCondition():
            return _leaf(condition, file)
        case AnyCondition(any=parts):
            return AtLeast(1, tuple(compile_condition(part, file, titles) for part in parts))
        case AllCondition(all=parts):
            return AtLeast(len(parts), tuple(compile_condition(part, file, titles) for part in parts))
        case AtLeastCondition(at_least=threshold):
            return AtLeast(threshold.n, tuple(compile_condition(part, file, titles) for part in threshold.of))
    raise TypeError(f"{type(condition).__name__} is not a condition")


def _leaf(condition: EventCondition, file: PlanFile) -> Leaf:
    name, where = condition.event, compile_tests(condition.where or {}, split=True)
    prefix = pattern_prefix(name)
    if prefix is None:
        names = {name, *file.events.get(name, ())}
    else:
        names = {
            sent for plan_name, all_sent in file.events.items() if plan_name.startswith(prefix) for sent in all_sent
        }
    selector = Selector(tuple(sorted(names)), () if prefix is None else (prefix,), where)
    kind = FirstTracker if condition.count == 1 else CountTracker
    return Leaf(tracker(kind, selector, condition.count), _leaf_text(condition, where))


def compile_tests(tests: Mapping[str, Any], *, split: bool) -> tuple[Predicate, ...]:
    """Predicates of `where` (dotted paths) or of `applies_to` (trait names, which may have dots)."""
    found: list[Predicate] = []
    for name, test in sorted(tests.items()):
        path = tuple(name.removeprefix("properties.").split(".")) if split else (name,)
        if not isinstance(test, ValueTest):
            found.append(Predicate(path, "eq", test))
            continue
        fields = sorted(test.model_fields_set)
        found += [Predicate(path, field.rstrip("_"), getattr(test, field)) for field in fields]
    return tuple(found)


def _leaf_text(condition: EventCondition, where: tuple[Predicate, ...]) -> str:
    name = {"*": "any event"}.get(condition.event, condition.event)
    tests = " and ".join(_test_text(one) for one in where)
    times = f", {condition.count} times" if condition.count > 1 else ""
    return f"{name}{' where ' + tests if tests else ''}{times}"


def _test_text(predicate: Predicate) -> str:
    path = ".".join(predicate.path)
    if predicate.operator == "exists":
        return f"{path} is {'set' if predicate.wanted else 'not set'}"
    wanted = predicate.wanted
    shown = ", ".join(map(str, wanted)) if isinstance(wanted, list) else "null" if wanted is None else str(wanted)
    return f"{path} {_WORDS[predicate.operator]} {shown}"
