"""Joining a group takes no longer than a worker may be silent."""

from __future__ import annotations

import asyncio

import pytest

from services.runtime import kafka


class Frozen:
    """A consumer whose brokers take connections and answer nothing."""

    stopped = False

    async def start(self) -> None:
        """For as long as a request may take, of each broker in turn."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """At once."""
        self.stopped = True


async def test_frozen_brokers_are_given_up_and_what_was_begun_is_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever joins tries again, and shows meanwhile that it lives."""
    monkeypatch.setattr(kafka, "_START_SECONDS", 0.01)
    consumer = Frozen()
    joining = asyncio.create_task(kafka.join_group(consumer, "events", None))
    done, _ = await asyncio.wait({joining}, timeout=5)
    assert [type(one.exception()) for one in done] == [TimeoutError]
    assert consumer.stopped
