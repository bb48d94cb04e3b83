"""Joining a group takes no longer than a worker may be silent, and after leaving it nothing goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from services.runtime import kafka


class Part:
    """What a consumer is made of."""

    closed = False
    generation_ended = False

    async def close(self) -> None:
        """At once."""
        self.closed = True

    def reset_generation(self) -> None:
        """No member any more."""
        self.generation_ended = True


class Frozen:
    """A consumer whose brokers take connections and answer nothing."""

    def __init__(self) -> None:
        self._coordinator, self._fetcher, self._client = Part(), Part(), Part()
        self.stopped = False

    async def start(self) -> None:
        """For as long as a request may take, of each broker in turn."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """At once."""
        self.stopped = True

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that the library closes in this order."""
        return self._coordinator, self._fetcher, self._client


class StopsHalfWay(Frozen):
    """As the library does when one of its tasks had failed, or was cancelled."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def stop(self) -> None:
        """The rest stays as it is."""
        raise self.error


class NeverStops(Frozen):
    """Its coordinator is frozen."""

    async def stop(self) -> None:
        """For as long as a request may take."""
        await asyncio.Event().wait()


async def test_frozen_brokers_are_given_up_and_what_was_begun_is_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever joins tries again, and shows meanwhile that it lives."""
    monkeypatch.setattr(kafka, "_START_SECONDS", 0.01)
    consumer = Frozen()
    joining = asyncio.create_task(kafka.join_group(consumer, "events", None))
    done, _ = await asyncio.wait({joining}, timeout=5)
    assert [type(one.exception()) for one in done] == [TimeoutError]
    assert consumer.stopped


@pytest.mark.parametrize(
    "consumer",
    [StopsHalfWay(asyncio.CancelledError()), StopsHalfWay(KafkaError()), NeverStops()],
    ids=["cancelled", "failed", "frozen"],
)
async def test_what_the_librarys_stop_leaves_running_is_ended(
    consumer: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would fetch and send heartbeats beside its successor; and whoever leaves a group is not cancelled."""
    monkeypatch.setattr(kafka, "_LEAVE_SECONDS", 0.01)
    leaving: asyncio.Task[Any] = asyncio.create_task(kafka.leave_group(consumer))
    done, _ = await asyncio.wait({leaving}, timeout=5)
    assert [one.cancelled() or one.exception() for one in done] == [None]
    coordinator, *others = consumer.parts
    assert coordinator.generation_ended
    assert all(one.closed for one in others)
