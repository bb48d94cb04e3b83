"""From rows by cohort to what an answer shows: cohorts in order, at most so many, beside the whole."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from services.activation_engine.insights.scope import COHORTS_MAX

Row = TypeVar("Row")


def with_cohorts(
    rows: Iterable[Row],
    *,
    cohort: Callable[[Row], str | None],
    size: Callable[[Row], int],
    shape: Callable[[list[Row]], dict[str, Any]],
) -> dict[str, Any]:
    """`total`, `cohorts` and how many `cohorts_left_out`; each is what `shape` makes of its rows."""
    every = list(rows)
    groups = grouped(every, cohort)
    largest = sorted(groups, key=lambda name: (-sum(map(size, groups[name])), name or ""))[:COHORTS_MAX]
    return {
        "total": shape(every),
        "cohorts": [{"cohort": name, **shape(groups[name])} for name in sorted(largest, key=_last_if_none)],
        "cohorts_left_out": len(groups) - len(largest),
    }


Key = TypeVar("Key", bound=Hashable)


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """The rows by their key, in order of first appearance."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _last_if_none(name: str | None) -> tuple[bool, str]:
    return name is None, name or ""
