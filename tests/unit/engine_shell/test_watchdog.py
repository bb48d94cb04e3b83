"""Records that wait while nothing is applied: the consumer is rebuilt, then the process ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.activation_engine.watchdog import ConsumerHung, Watchdog


class Scene:
    """A consumer, leases and a log, as far as a watchdog looks at them."""

    def __init__(self) -> None:
        self.paused = False
        self.rebuilt = 0
        self.held = {0: SimpleNamespace(lease=SimpleNamespace(next_offset=5))}
        self.end = 9

    def rebuild(self) -> None:
        self.rebuilt += 1

    async def end_offsets(self, parts: list[int]) -> dict[int, int]:
        return dict.fromkeys(parts, self.end)

    def watchdog(self) -> Watchdog:
        me = cast(Any, self)
        return Watchdog(consumer=me, leases=me, probe=me, stall_seconds=0)


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
