"""The engine dies as by kill -9 at every named point, twice in a row, under load: nothing is lost or doubled."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.engine_process import ROOT
from tests.fakes.engine_room import EngineRoom, engine_room
from tests.waiting import until

# At which hit of a point the engine dies, where the first would find nothing to lose yet.
LATER = {"b1_polled": 4, "b2_decoded": 3, "b3_loaded": 3, "b4_folded": 3, "b5_leases_set": 2, "b5_before_commit": 3}

pytestmark = pytest.mark.timeout(280)


def crash_points() -> list[str]:
    """Every point that the engine's source names."""
    source = "\n".join(path.read_text() for path in (ROOT / "services/activation_engine").rglob("*.py"))
    return sorted(set(re.findall(r'crash_point\("engine\.(\w+)"\)', source)))


def test_every_step_of_the_protocol_has_a_point() -> None:
    """A1-A3, B1-B7, the relay and the revocation can each be hit."""
    named = " ".join(crash_points())
    for step in ("a1", "a2", "a3", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "relay", "revoked"):
        assert step in named


@pytest.fixture
async def room(database_url: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[EngineRoom]:
    async with engine_room(
        database_url=database_url, kafka=kafka_bootstrap, prefix=topic_prefix, folder=tmp_path, parts=2
    ) as opened:
        await opened.publish_plan()
        yield opened


async def test_killed_at_every_point_twice_in_a_row(room: EngineRoom) -> None:
    """Each point is hit by two engines in a row while events and ticks keep coming; after each pair, and at the end,
    ledger, accounts and published signals are those of a plain fold."""
    for point in crash_points():
        async with room.load(events_per_second=300):
            for _ in range(2):
                engine = room.start(crash_at=f"engine.{point}:{LATER.get(point, 1)}")
                room.launch_ahead()
                died = await engine.end()
                assert died == -signal.SIGKILL, f"engine.{point} was never hit: {engine.log.read_text()[-3000:]}"
        await room.check_against_oracle()
    await _finish(room)
    assert await room.check_against_oracle() > 200


async def _finish(room: EngineRoom) -> None:
    engine = room.start()
    await until(room.caught_up, what="all applied and published after the last crash")
    engine.signal(signal.SIGTERM)
    assert await engine.end() == 0
