"""The room that most tests of engine processes work in, as a fixture."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.fakes.engine_room import EngineRoom, engine_room


@pytest.fixture
async def room(
    fresh_database: Callable[[str], str],
    kafka_bootstrap: str,
    topic_prefix: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> AsyncIterator[EngineRoom]:
    """A room of the test alone, with the PARTS of its module as partitions, in which the quick plan is published."""
    word = request.node.name.removeprefix("test_")[:20]
    database = await asyncio.to_thread(fresh_database, word)
    # Other tests may begin with the same word.
    prefix, parts = f"{topic_prefix}{word}-{secrets.token_hex(3)}.", request.module.PARTS
    async with engine_room(
        database_url=database, kafka=kafka_bootstrap, prefix=prefix, folder=tmp_path, parts=parts
    ) as opened:
        await opened.publish_plan()
        yield opened
