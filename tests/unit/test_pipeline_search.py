"""The pipeline bench's judgement: which backlog is flat, and that the search ends at what a system carries."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.pipeline_search import Found, greatest, is_flat

_SECONDS = 12.0
_LOOKS = 60


def _backlog(per_s: float, *, start: float = 0, noise: float = 0) -> list[float]:
    chance = random.Random(3)
    return [start + per_s * _SECONDS * look / _LOOKS + noise * chance.random() for look in range(_LOOKS)]


@pytest.mark.parametrize(
    ("waiting", "flat"),
    [
        (_backlog(0), True),
        (_backlog(0, noise=200), True),
        (_backlog(0, start=5_000, noise=50), True),
        (_backlog(-400, start=9_000), True),
        (_backlog(25), True),
        (_backlog(50), False),
        (_backlog(100, start=5_000, noise=50), False),
        (_backlog(1_000), False),
    ],
    ids=[
        "empty",
        "noise",
        "old",
        "shrinking",
        "growing below noise",
        "five percent",
        "ten percent on top",
        "nothing is applied",
    ],
)
def test_backlog_is_flat_unless_it_grows_beyond_noise(waiting: list[float], flat: bool) -> None:
    """Of a thousand that come in each second."""
    assert is_flat(waiting, seconds=_SECONDS, inflow_per_s=1_000) == flat


def test_too_few_looks_judge_nothing() -> None:
    """A step that nobody looked at is not a step that held."""
    with pytest.raises(ValueError, match="too few"):
        is_flat([0.0] * 5, seconds=1, inflow_per_s=1_000)


def _search(capacity: float, *, halvings: int, steps_max: int = 100) -> tuple[Found, int]:
    steps = 0

    async def holds(load: float) -> bool:
        nonlocal steps
        steps += 1
        return load <= capacity

    found = greatest(holds, first=1_000, halvings=halvings, time_left=lambda: steps < steps_max)
    return asyncio.run(found), steps


@given(capacity=st.floats(20, 1e6), halvings=st.integers(0, 5))
def test_search_ends_at_what_is_carried(capacity: float, halvings: int) -> None:
    """Between the last load that held and the first that did not, which the halvings bring together."""
    found, _ = _search(capacity, halvings=halvings)
    assert found.refused is not None
    assert found.carried <= capacity < found.refused
    assert found.refused - found.carried <= found.carried / 2**halvings * (1 + 1e-9)


@given(capacity=st.floats(0, 1e9), steps_max=st.integers(1, 12))
def test_search_is_bounded(capacity: float, steps_max: int) -> None:
    """Without time left it says what it knows, but looks for a load that holds; it says nothing that was not tried."""
    found, steps = _search(capacity, halvings=4, steps_max=steps_max)
    assert steps <= max(steps_max, 7)
    assert found.carried <= capacity
    assert found.refused is None or found.refused > capacity


def test_search_gives_up_on_what_carries_nothing() -> None:
    """It does not halve for ever."""
    found, steps = _search(0, halvings=3)
    assert (found.carried, steps) == (0, 7)
