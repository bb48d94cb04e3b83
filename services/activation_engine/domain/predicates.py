"""Tests of one value: the operators of `where` and of `applies_to`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

_ABSENT: Final = object()
# Null is a value to these alone. Nothing passes another operator with null, which plans of earlier releases may have.
NULL_COMPARES: Final = frozenset({"eq", "ne", "contains"})


def _same(value: Any, wanted: Any) -> bool:
    """Equality as JSON sees it: true is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Numbers compare with numbers and text with text; anything else is false."""

    def test(value: Any, wanted: Any) -> bool:
        if isinstance(value, bool) or isinstance(wanted, bool):
            return False
        alike = isinstance(value, str) == isinstance(wanted, str)
        return alike and isinstance(value, int | float | str) and compare(value, wanted)

    return test


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted in value
    return isinstance(value, list) and any(_same(item, wanted) for item in value)


OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": _same,
    "ne": lambda value, wanted: not _same(value, wanted),
    "in": lambda value, wanted: any(_same(value, item) for item in wanted),
    "gt": _ordered(lambda value, wanted: value > wanted),
    "gte": _ordered(lambda value, wanted: value >= wanted),
    "lt": _ordered(lambda value, wanted: value < wanted),
    "lte": _ordered(lambda value, wanted: value <= wanted),
    "exists": lambda value, wanted: (value is not None) == wanted,
    "contains": _contains,
    "prefix": lambda value, wanted: isinstance(value, str) and value.startswith(wanted),
}


class Predicate(Struct, frozen=True):
    """`path` (steps into nested objects) must hold `operator` `wanted`. A value that is not there is null to
    `exists` and `ne`, and fails every other operator."""

    path: tuple[str, ...]
    operator: str
    wanted: Any

    def holds(self, root: Mapping[str, Any]) -> bool:
        """Whether the value at the path passes."""
        if self.wanted is None and self.operator not in NULL_COMPARES:
            return False
        value: Any = root
        for step in self.path:
            value = value.get(step, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        if value is _ABSENT or value is None:
            return self._holds_for_nothing()
        return OPERATORS[self.operator](value, self.wanted)

    def _holds_for_nothing(self) -> bool:
        if self.operator == "exists":
            return self.wanted is False
        if self.operator == "in":
            return None in self.wanted
        return self.operator in ("eq", "ne") and (self.wanted is None) == (self.operator == "eq")


def all_hold(predicates: tuple[Predicate, ...], root: Mapping[str, Any]) -> bool:
    """Whether every predicate passes; true for none."""
    return all(predicate.holds(root) for predicate in predicates)
