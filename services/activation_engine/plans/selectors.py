"""Which events a name in a plan means: aliases applied, patterns resolved, and tests of properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.plan_conditions import ValueTest
from services.activation_engine.domain.predicates import Predicate
from services.activation_engine.domain.trackers import Selector

EventNames = Mapping[str, list[str]]

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


def select(names: Iterable[str], events: EventNames, where: tuple[Predicate, ...] = ()) -> Selector:
    """The events that these names mean: themselves, and what the plan's `events` maps to them."""
    found: set[str] = set()
    prefixes: set[str] = set()
    for name in names:
        prefix = pattern_prefix(name)
        if prefix is None:
            found |= {name, *events.get(name, ())}
        else:
            prefixes.add(prefix)
            found |= {one for plan_name, sent in events.items() if plan_name.startswith(prefix) for one in sent}
    return Selector(tuple(sorted(found)), tuple(sorted(prefixes)), where)


def covers(wide: Selector, narrow: Selector) -> bool:
    """Whether every event that `narrow` names is one of `wide`, whatever their tests."""
    prefixes = all(any(one.startswith(prefix) for prefix in wide.prefixes) for one in narrow.prefixes)
    return prefixes and all(wide.names_it(name) for name in narrow.names)


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


def tests_text(tests: Iterable[Predicate]) -> str:
    """`plan is pro and rows is above 100`."""
    return " and ".join(map(_test_text, tests))


def event_text(name: str, where: tuple[Predicate, ...]) -> str:
    """`report.generated where kind is weekly`."""
    shown = {"*": "any event"}.get(name, name)
    return f"{shown} where {tests_text(where)}" if where else shown


def _test_text(predicate: Predicate) -> str:
    path = ".".join(predicate.path)
    if predicate.operator == "exists":
        return f"{path} is {'set' if predicate.wanted else 'not set'}"
    wanted = predicate.wanted
    shown = ", ".join(map(str, wanted)) if isinstance(wanted, list) else "null" if wanted is None else str(wanted)
    return f"{path} {_WORDS[predicate.operator]} {shown}"
