"""Records that wait while nothing is applied: the consumer is rebuilt, then the process ends."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from services.activation_engine import watchdog
from services.activation_engine.watchdog import ConsumerHung, Watchdog


class Scene:
    """A consumer, leases and a log, as far as a watchdog looks at them."""

    def __init__(self) -> None:
        self.paused = False
        self.rebuilt = 0
        self.held: dict[int, Any] = {}
        self.end = 9
        self.commit()

    def commit(self) -> None:
        """A transaction on the partition, which may have consumed nothing; also a claim is one."""
        self.held[0] = SimpleNamespace(lease=SimpleNamespace(next_offset=5, stamp=uuid4()))

    def rebuild(self) -> None:
        self.rebuilt += 1

    async def end_offsets(self, parts: list[int]) -> dict[int, int]:
        return dict.fromkeys(parts, self.end)

    def watchdog(self, *, stall_seconds: float = 0) -> Watchdog:
        me = cast(Any, self)
        return Watchdog(consumer=me, leases=me, probe=me, stall_seconds=stall_seconds)


async def test_a_standing_consumer_is_rebuilt_once_and_then_given_up() -> None:
    """A second stall in a row, with nothing applied in between, ends the process."""
    scene = Scene()
    watchdog = scene.watchdog()
    await watchdog.look()
    assert scene.rebuilt == 1
    with pytest.raises(ConsumerHung):
        await watchdog.look()


async def test_having_caught_up_forgives() -> None:
    """After progress to the end, a later stall is a first one again."""
    scene = Scene()
    watchdog = scene.watchdog()
    await watchdog.look()
    scene.end = 5
    await watchdog.look()
    scene.end = 9
    await watchdog.look()
    assert scene.rebuilt == 2


async def test_an_intake_that_waits_for_the_relay_is_no_stall() -> None:
    """Neither is an engine without partitions."""
    scene = Scene()
    scene.paused = True
    watchdog = scene.watchdog()
    await watchdog.look()
    scene.paused, scene.held = False, {}
    await watchdog.look()
    assert scene.rebuilt == 0


@pytest.mark.parametrize("rebuilt_commits", [False, True])
async def test_twice_the_time_ends_the_process(monkeypatch: pytest.MonkeyPatch, *, rebuilt_commits: bool) -> None:
    """A new consumer that has claimed its partitions, and applies nothing either, is not taken for a healthy one."""
    scene, now = Scene(), 0.0
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: now))
    looking = scene.watchdog(stall_seconds=30)
    while now < 300 and not scene.rebuilt:
        await looking.look()
        now += 3.01
    assert 30 < now < 40
    scene.commit()
    with pytest.raises(ConsumerHung) if not rebuilt_commits else contextlib.nullcontext():
        while now < 75:
            await looking.look()
            if rebuilt_commits:
                scene.commit()
            now += 3.01
    assert scene.rebuilt == 1


async def test_a_tick_that_takes_many_transactions_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep of a million accounts leaves the offset where it was for minutes."""
    scene, now = Scene(), 0.0
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: now))
    looking = scene.watchdog(stall_seconds=30)
    while now < 300:
        await looking.look()
        scene.commit()
        now += 3.01
    assert scene.rebuilt == 0
