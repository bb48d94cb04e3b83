"""One engine on real Kafka and PostgreSQL: what comes in is applied once, what it announces recorded and published."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.engine_room import EngineRoom, engine_room, event_value, eventually


@pytest.fixture
async def room(database_url: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[EngineRoom]:
    async with engine_room(
        database_url=database_url, kafka=kafka_bootstrap, prefix=topic_prefix, folder=tmp_path, parts=3
    ) as opened:
        yield opened


async def test_events_become_signals_once_and_a_drained_engine_leaves_nothing_open(room: EngineRoom) -> None:
    """Events, repeats, poison and ticks lead to what a plain fold leads to; SIGTERM finishes and exits with 0."""
    await room.publish_plan()
    engine = room.start()
    async with room.load():
        await eventually(lambda: _ledger_has(room, 100), within_seconds=30, what="100 signals recorded")
        for poison in (b"{", b'{"v": 7}', None):
            await room.append(0, key=b"acme", value=poison)
        await room.append(1, key=b"other", value=event_value("acme", "Page Viewed", "x"))
    await eventually(room.caught_up, within_seconds=20, what="all applied and published")
    engine.signal(signal.SIGTERM)
    assert await engine.end(within_seconds=20) == 0, engine.log.read_text()
    assert await room.check_against_oracle() > 100
    reasons = await room.database.fetch("SELECT reason FROM activation.dead_letter ORDER BY reason")
    assert [row["reason"] for row in reasons] == ["key_mismatch", "no_value", "not_valid", "unknown_version"]
    behind = "SELECT count(*) FROM activation.partition_lease WHERE published_seq < out_seq"
    assert await room.database.fetchval(behind) == 0


async def _ledger_has(room: EngineRoom, count: int) -> bool:
    return bool(await room.database.fetchval("SELECT count(*) >= $1 FROM activation.ledger", count))
