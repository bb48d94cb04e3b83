"""Tests of one value that nothing can pass together, such as above 10 and below 5."""

from __future__ import annotations

from typing import Any

from schemas.plan_conditions import ValueTest
from services.activation_engine.domain.predicates import OPERATORS, Predicate
from services.activation_engine.plans.selectors import compile_tests

_LOWER, _UPPER = ("gt", "gte"), ("lt", "lte")


def contradicts(test: Any) -> bool:
    """Whether no value passes; a bare value is passed by itself."""
    if not isinstance(test, ValueTest):
        return False
    predicates = compile_tests({"value": test}, split=False)
    # A fixed value decides it: one of those allowed must pass all tests, or be null where that is allowed.
    allowed = _allowed(predicates)
    if allowed is not None:
        return not any(all(one.holds({"value": value}) for one in predicates) for value in allowed)
    wanted = {one.operator: one.wanted for one in predicates}
    if wanted.get("exists") is False:
        return any(not one.holds({}) for one in predicates)
    return any(
        _crossed(wanted[low], wanted[high], open_ended=low == "gt" or high == "lt")
        for low in _LOWER
        for high in _UPPER
        if low in wanted and high in wanted
    )


def _allowed(predicates: tuple[Predicate, ...]) -> list[Any] | None:
    for one in predicates:
        if one.operator == "eq":
            return [one.wanted]
        if one.operator == "in":
            return list(one.wanted)
    return None


def _crossed(low: Any, high: Any, *, open_ended: bool) -> bool:
    """Whether nothing lies between; numbers and texts are never both passed."""
    if isinstance(low, str) != isinstance(high, str):
        return True
    return OPERATORS["gt"](low, high) or (open_ended and not OPERATORS["lt"](low, high))
