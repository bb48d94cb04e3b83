"""A member of a group is silent for no longer than a worker may be, and after leaving it nothing goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.runtime import group, standstill
from services.runtime.group import Bounds, GroupMember


class Part:
    """What a client is made of."""

    closed = False
    generation_ended = False

    async def close(self) -> None:
        """At once."""
        self.closed = True

    def reset_generation(self) -> None:
        """No member any more."""
        self.generation_ended = True


class Client:
    """It has partitions 0 and 1, with a thousand records each; a poll returns as many of the first as `found` says."""

    def __init__(self) -> None:
        self._coordinator, self._fetcher, self._client = Part(), Part(), Part()
        self._subscription = SimpleNamespace(reassignment_in_progress=False)
        self.places = {TopicPartition("events", part) for part in range(2)}
        self.found = 0
        self.listener: Any = None
        self.paused = set[TopicPartition]()
        self.sought = dict[TopicPartition, int]()
        self.stopped = False

    async def start(self) -> None:
        """At once."""

    async def stop(self) -> None:
        """At once."""
        self.stopped = True

    def subscribe(self, _: Sequence[str], *, listener: Any) -> None:
        """The partitions are there, and fetched, before anybody is told."""
        self.listener = listener
        listener.on_partitions_assigned(self.places)

    def assignment(self) -> set[TopicPartition]:
        """As the group decided."""
        return self.places

    def pause(self, *places: TopicPartition) -> None:
        """Return no records of these."""
        self.paused |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        """Return them again."""
        self.paused -= set(places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Begin there."""
        self.sought[place] = offset

    async def getmany(self, *, timeout_ms: int, max_records: int | None) -> dict[TopicPartition, Sequence[Any]]:
        """All that there is of one partition."""
        return {TopicPartition("events", 0): range(self.found)} if self.found else {}

    async def beginning_offsets(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Of all alike."""
        return dict.fromkeys(places, 7)

    async def end_offsets(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Of all alike."""
        return dict.fromkeys(places, 1_007)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that the library closes in this order."""
        return self._coordinator, self._fetcher, self._client


class Frozen(Client):
    """Its brokers take connections and answer nothing."""

    async def start(self) -> None:
        """For as long as a request may take, of each broker in turn."""
        await asyncio.Event().wait()


class StopsHalfWay(Client):
    """As the library does when one of its tasks had failed, or was cancelled."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def stop(self) -> None:
        """The rest stays as it is."""
        raise self.error


class NeverStops(Client):
    """Its coordinator is frozen."""

    async def stop(self) -> None:
        """For as long as a request may take."""
        await asyncio.Event().wait()


class FreezesLater(Client):
    """Its brokers froze in a rebalance: it waits without end for an assignment, and for a commit."""

    async def getmany(self, *, timeout_ms: int, max_records: int | None) -> dict[TopicPartition, Sequence[Any]]:
        """Whatever the time-out."""
        await asyncio.Event().wait()
        return {}

    async def commit(self, _: object) -> None:
        """Again and again."""
        await asyncio.Event().wait()


def member_of(*clients: Client, told: list[object] | None = None) -> GroupMember:
    """One that joins with each client in turn, and notes of what it is told."""
    rest, notes = iter(clients), [] if told is None else told

    async def on_revoked(parts: Collection[int]) -> None:
        notes.append(("revoked", sorted(parts)))

    return GroupMember(
        new_consumer=lambda: next(rest),
        topic="events",
        on_assigned=lambda parts: notes.append(("assigned", sorted(parts))),
        on_revoked=on_revoked,
    )


async def test_frozen_brokers_are_given_up_and_what_was_begun_is_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever joins tries again, and shows meanwhile that it lives."""
    monkeypatch.setattr(group, "_START_SECONDS", 0.01)
    client = Frozen()
    member = member_of(client)
    done, _ = await asyncio.wait({asyncio.create_task(member.join())}, timeout=5)
    assert [type(one.exception()) for one in done] == [TimeoutError]
    assert (client.stopped, member.joined) == (True, False)


@pytest.mark.parametrize(
    "client",
    [StopsHalfWay(asyncio.CancelledError()), StopsHalfWay(KafkaError()), NeverStops()],
    ids=["cancelled", "failed", "frozen"],
)
async def test_what_the_librarys_stop_leaves_running_is_ended(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would fetch and send heartbeats beside its successor; and whoever leaves a group is not cancelled."""
    monkeypatch.setattr(group, "_LEAVE_SECONDS", 0.01)
    member = member_of(client)
    await member.join()
    leaving: asyncio.Task[Any] = asyncio.create_task(member.leave())
    done, _ = await asyncio.wait({leaving}, timeout=5)
    assert [one.cancelled() or one.exception() for one in done] == [None]
    coordinator, *others = client.parts
    assert coordinator.generation_ended
    assert all(one.closed for one in others)


async def test_nothing_is_read_before_its_place_is_known() -> None:
    """The library has begun at a place of its own before it tells of an assignment."""
    client = Client()
    member = member_of(client)
    await member.join()
    assert client.paused == client.places
    assert member.read_from(1, 5)
    first, second = sorted(client.places)
    assert (client.paused, client.sought) == ({first}, {second: 5})


async def test_what_others_have_by_now_is_left_alone() -> None:
    """The library raises an error for it, which would look like a broker's."""
    client = Client()
    member = member_of(client)
    await member.join()
    client.places = {TopicPartition("events", 0)}
    assert not member.read_from(1, 5)
    member.pause([0, 1])
    member.resume([0, 1])
    assert (member.assigned(), member.end_of(1), client.sought) == ([0], None, {})


async def test_a_client_that_was_left_tells_nothing_more() -> None:
    """Nor does it pause what its successor reads."""
    first, second, told = Client(), Client(), list[object]()
    member = member_of(first, second, told=told)
    await member.join()
    await member.leave()
    await member.join()
    told.clear()
    await first.listener.on_partitions_revoked(first.places)
    first.listener.on_partitions_assigned(first.places)
    assert not told
    await second.listener.on_partitions_revoked(second.places)
    assert told == [("revoked", [0, 1])]


async def test_each_question_to_the_broker_is_a_sign_of_life() -> None:
    """One may take forty seconds of the minute for which a worker may be silent."""
    client, told = Client(), list[str]()
    member = member_of(client)
    await member.join()
    beginning_offsets, end_offsets = client.beginning_offsets, client.end_offsets
    client.beginning_offsets = lambda places: told.append("begins") or beginning_offsets(places)  # type: ignore[method-assign, func-returns-value]
    client.end_offsets = lambda places: told.append("ends") or end_offsets(places)  # type: ignore[method-assign, func-returns-value]
    assert await member.bounds([1], beat=lambda: told.append("alive")) == {1: Bounds(7, 1_007)}
    assert told == ["alive", "begins", "alive", "ends"]


async def test_brokers_that_freeze_hold_a_loop_up_for_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the process would not look live."""
    monkeypatch.setattr(group, "_POLL_SECONDS_MAX", 0.01)
    monkeypatch.setattr(group, "_COMMIT_SECONDS_MAX", 0.01)
    member = member_of(FreezesLater())
    await member.join()
    async with asyncio.timeout(5):
        assert await member.poll(1) == {}
        await member.commit({0: 9})


class Hanging:
    """A member whose partitions stand at 7 and have more; each look is a second after the one before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(standstill, "STANDSTILL_SECONDS", 2)
        monkeypatch.setattr(standstill, "_LOOK_SECONDS", 1)
        self.client = Client()
        self.member = member_of(self.client)

    async def looks(self, count: int) -> list[bool]:
        """What each says, a poll before each."""
        said = []
        for _ in range(count):
            self.member._standstill._looked_at -= 1
            await self.member.poll(0, records_max=17)
            said.append(await self.member.hangs({0: 7, 1: 7}))
        return said


async def test_whose_turn_has_not_come_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library drains one partition before the next: a poll that is full tells nothing of the others."""
    hanging = Hanging(monkeypatch)
    await hanging.member.join()
    hanging.client.found = 17
    assert not any(await hanging.looks(6))
    hanging.client.found = 16
    assert await hanging.looks(2) == [False, True]


async def test_a_rebalance_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from its beginning to its end, however long it takes."""
    hanging = Hanging(monkeypatch)
    await hanging.member.join()
    listener, places = hanging.client.listener, hanging.client.places
    assert await hanging.looks(2) == [False, False]
    hanging.client._subscription.reassignment_in_progress = True
    await listener.on_partitions_revoked(places)
    assert not any(await hanging.looks(6))
    hanging.client._subscription.reassignment_in_progress = False
    listener.on_partitions_assigned(places)
    assert await hanging.looks(3) == [False, False, True]
