"""From rows by cohort to what an answer shows: cohorts in order, at most so many, beside the whole."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from services.activation_engine.insights.scope import COHORTS_MAX, Scope

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)


def with_cohorts(
    scope: Scope, rows: Sequence[Any], *, size: Callable[[Any], int], shape: Callable[[Sequence[Any]], dict[str, Any]]
) -> dict[str, Any]:
    """`by` what cohorts are made, `total`, `cohorts` and how many `cohorts_left_out`; each is what `shape` makes of its
    rows, which have a `cohort`."""
    groups = grouped(rows, lambda row: _name(row.cohort))
    largest = sorted(groups, key=lambda name: (-sum(map(size, groups[name])), name or ""))[:COHORTS_MAX]
    return {
        "by": scope.wanted.by,
        "total": shape(rows),
        "cohorts": [{"cohort": name, **shape(groups[name])} for name in sorted(largest, key=_last_if_none)],
        "cohorts_left_out": len(groups) - len(largest),
    }


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """The rows by their key, in order of first appearance."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _name(cohort: str | datetime | None) -> str | None:
    """`2026-11` for the first instant of a month."""
    return cohort.isoformat()[:7] if isinstance(cohort, datetime) else cohort


def _last_if_none(name: str | None) -> tuple[bool, str]:
    return name is None, name or ""
