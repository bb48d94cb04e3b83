"""The operators of `where` and `applies_to`."""

from __future__ import annotations

from typing import Any

import pytest

from services.activation_engine.domain.predicates import Predicate

PROPERTIES: dict[str, Any] = {
    "plan": "pro",
    "seats": 12,
    "trial": False,
    "nothing": None,
    "tags": ["a", "b"],
    "deep": {"er": {"value": 1.5}},
}


@pytest.mark.parametrize(
    ("path", "operator", "wanted", "holds"),
    [
        ("plan", "eq", "pro", True),
        ("plan", "eq", "free", False),
        ("seats", "eq", 12.0, True),
        ("trial", "eq", 0, False),
        ("trial", "eq", False, True),
        ("nothing", "eq", None, True),
        ("missing", "eq", None, True),
        ("missing", "eq", "x", False),
        ("plan", "ne", "pro", False),
        ("missing", "ne", "pro", True),
        ("missing", "ne", None, False),
        ("plan", "in", ["free", "pro"], True),
        ("trial", "in", [0, 1], False),
        ("missing", "in", ["pro"], False),
        ("missing", "in", [None], True),
        ("seats", "gt", 12, False),
        ("seats", "gte", 12, True),
        ("seats", "lt", 12.5, True),
        ("seats", "lte", 11, False),
        ("plan", "gt", "alpha", True),
        ("seats", "gt", "1", False),
        ("trial", "gte", 0, False),
        ("missing", "lt", 5, False),
        ("plan", "exists", True, True),
        ("nothing", "exists", True, False),
        ("missing", "exists", False, True),
        ("plan", "contains", "r", True),
        ("tags", "contains", "b", True),
        ("tags", "contains", "c", False),
        ("seats", "contains", 1, False),
        ("plan", "prefix", "pr", True),
        ("seats", "prefix", "1", False),
        ("deep.er.value", "gte", 1, True),
        ("deep.er.value.more", "exists", False, True),
        ("plan.er", "eq", "pro", False),
        ("seats", "gt", None, False),
        ("seats", "in", None, False),
        ("missing", "in", None, False),
        ("plan", "prefix", None, False),
        ("plan", "exists", None, False),
        ("missing", "exists", None, False),
        ("tags", "contains", None, False),
        ("seats", "ne", None, True),
    ],
)
def test_operator(path: str, operator: str, wanted: Any, holds: bool) -> None:
    """Each operator on present, absent and unlike values."""
    assert Predicate(tuple(path.split(".")), operator, wanted).holds(PROPERTIES) is holds
