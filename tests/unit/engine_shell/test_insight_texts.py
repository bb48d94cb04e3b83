"""The sentences of insights where there is little to tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from services.activation_engine.insights import status, surprises

SCOPE: Any = SimpleNamespace(plan=SimpleNamespace(id="mine"))


def test_a_plan_without_accounts_is_told_as_such() -> None:
    """And not as a row of zeros."""
    assert status._text(SCOPE, status._shape([])) == "No account is under mine yet."


@pytest.mark.parametrize(("count", "told"), [(1, "Page Viewed (once)."), (9_120, "Page Viewed (9,120 times).")])
def test_an_event_comes_once_or_many_times(count: int, told: str) -> None:
    """Never one times."""
    seen: Any = SimpleNamespace(name="Page Viewed", count=count)
    assert surprises._text([seen]).endswith(told)
