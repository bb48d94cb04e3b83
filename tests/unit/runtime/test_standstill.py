"""A consumer hangs when records wait and it takes none of them, and only then."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.runtime import standstill
from services.runtime.standstill import Standstill

FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)


class Scene:
    """Two partitions whose logs end at `end`, read up to `read`; time passes by looks of three seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.end = 9
        self.read = {FIRST: 9, SECOND: 5}
        self.asked = 0
        self._subscription = SimpleNamespace(reassignment_in_progress=False)
        monkeypatch.setattr(standstill, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.watch = Standstill()

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """What the broker says."""
        self.asked += 1
        return dict.fromkeys(places, self.end)

    def rebalance(self, goes_on: bool) -> None:
        """The group begins or ends one; the positions stay."""
        self._subscription.reassignment_in_progress = goes_on

    async def found_within(self, seconds: float, *, meanwhile: Callable[[], Any] = lambda: None) -> bool:
        """Whether it is found to hang; `meanwhile` happens between two looks."""
        until = self.now + seconds
        while self.now < until:
            self.now += 3
            if await self.watch.found(self, self.read):
                return True
            meanwhile()
        return False


async def test_one_partition_that_stands_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before it has stood for half a minute, also if the other goes on; the broker is asked now and then."""
    scene = Scene(monkeypatch)

    def go_on() -> None:
        scene.end += 1
        scene.read[FIRST] += 1

    assert not await scene.found_within(30, meanwhile=go_on)
    assert await scene.found_within(15, meanwhile=go_on)
    assert scene.asked <= 9


async def test_who_goes_on_or_has_read_all_hangs_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the log is that waits, and however long nothing came before the newest record."""
    scene = Scene(monkeypatch)

    def read_one() -> None:
        scene.end += 1
        scene.read = {FIRST: scene.end, SECOND: scene.read[SECOND] + 1}

    assert not await scene.found_within(300, meanwhile=read_one)
    scene.read = dict.fromkeys(scene.read, scene.end)
    assert not await scene.found_within(300)
    scene.end += 1
    assert not await scene.found_within(25)


async def test_a_time_that_had_its_reasons_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a database that was away."""
    scene = Scene(monkeypatch)
    assert not await scene.found_within(30)
    scene.watch.forget()
    assert not await scene.found_within(30)
    assert await scene.found_within(15)


async def test_a_long_batch_between_two_looks_is_no_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile nothing was polled, and the client had no chance."""
    scene = Scene(monkeypatch)
    assert not await scene.found_within(6)
    scene.now += 120
    assert not await scene.found_within(6)


async def test_a_rebalance_may_take_longer_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read in it, and leaving would only begin another; also where no partition is known yet."""
    scene = Scene(monkeypatch)
    scene.rebalance(True)
    assert not await scene.found_within(115)
    scene.rebalance(False)
    assert not await scene.found_within(25)
    scene.rebalance(True)
    scene.read = {}
    assert not await scene.found_within(115)
    assert await scene.found_within(60)
