"""Who looks at events leaves time for those who send them."""

from __future__ import annotations

import asyncio
import itertools
import time
from types import SimpleNamespace

import pytest

from services.ingest.debugger import tails as bounds
from services.ingest.debugger.tails import READINGS_MAX, WAITING_MAX, TopicTails

READING_SECONDS = 0.1


async def test_a_reading_is_followed_by_a_rest_of_the_same_length() -> None:
    """Looking without an end would take a core from the events; the one who looked is answered before the rest."""
    tails = TopicTails(bootstrap_servers="nowhere:1")
    answered: list[float] = []

    async def read() -> None:
        async with tails._slot():
            await asyncio.sleep(READING_SECONDS)
        answered.append(time.monotonic())

    await asyncio.gather(*(read() for _ in range(READINGS_MAX + 1)))
    assert answered[-1] - answered[READINGS_MAX - 1] > 1.9 * READING_SECONDS


async def test_a_rest_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the reading was: others wait for it."""
    monkeypatch.setattr(bounds, "_REST_SECONDS_MAX", 0.01)
    hours = itertools.count(0, 3600)
    monkeypatch.setattr(bounds, "time", SimpleNamespace(monotonic=lambda: next(hours)))
    tails = TopicTails(bootstrap_servers="nowhere:1")
    async with asyncio.timeout(10):
        for _ in range(READINGS_MAX + 1):
            async with tails._slot():
                pass


def test_the_last_of_those_who_wait_is_answered_before_it_gives_up() -> None:
    """The command line waits 30 seconds, and every reading before may take as long as it is let."""
    rounds = WAITING_MAX // READINGS_MAX
    reading_seconds = bounds._WHOLE_SECONDS + bounds._STOP_SECONDS
    assert rounds * (reading_seconds + bounds._REST_SECONDS_MAX) + reading_seconds < 30
