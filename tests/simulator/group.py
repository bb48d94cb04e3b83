"""The consumer group of the engines: members join, fall silent, are expelled; partitions are dealt anew each time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from tests.simulator.log import Broker, LogRecord, Reader
from tests.simulator.loop import Process

SESSION_SECONDS = 1.0
REBALANCE_SECONDS = 1.5
_HEARTBEAT_SECONDS = 0.2


class Group:
    """The coordinator. A member of the settled generation goes on; every other one has to join."""

    def __init__(self, broker: Broker, *, topic: str, parts: int) -> None:
        self.broker = broker
        self.places = [TopicPartition(topic, part) for part in range(parts)]
        self.committed: dict[TopicPartition, int] = {}
        self._heard: dict[Member, float] = {}
        self._settled: set[Member] = set()
        self._joining: dict[Member, asyncio.Future[list[TopicPartition]]] = {}
        self._began = 0.0

    def beat(self, member: Member) -> bool:
        """Hear from a member; whether it has to join again."""
        self._heard[member] = self.broker.loop.time()
        return member not in self._settled

    def join(self, member: Member) -> asyncio.Future[list[TopicPartition]]:
        """The member's partitions, once all have joined or were waited for long enough."""
        if not self._joining:
            self._began = self.broker.loop.time()
        self._settled = set()
        self._heard[member] = self.broker.loop.time()
        self._joining[member] = self.broker.loop.create_future()
        return self._joining[member]

    def leave(self, member: Member) -> None:
        """A member says goodbye."""
        self._heard.pop(member, None)
        self._joining.pop(member, None)
        if member in self._settled:
            self._settled = set()

    async def coordinate(self) -> None:
        """Worker of the world: expel the silent, deal when everybody is there."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS / 2)
            now = self.broker.loop.time()
            for member in [one for one, heard in self._heard.items() if now - heard > SESSION_SECONDS]:
                # Those that wait for their partitions are connected: only their death silences them.
                if not member.process.alive or member not in self._joining:
                    self.leave(member)
            patient = now - self._began < REBALANCE_SECONDS
            if self._joining and not (patient and set(self._heard) - set(self._joining)):
                self._deal()

    def _deal(self) -> None:
        members = [one for one in self._joining if one.process.alive]
        dealt: dict[Member, list[TopicPartition]] = {member: [] for member in members}
        for place in self.places:
            if members:
                dealt[self.broker.faults.dice.choice(members)].append(place)
        self._settled = set(members)
        for member in members:
            future = self._joining[member]
            if not future.done():
                future.set_result(dealt[member])
        self._joining = {}
        self.broker.faults.happened["rebalance"] += 1


class Member(Reader):
    """One engine's consumer in the group."""

    def __init__(self, broker: Broker, process: Process, group: Group) -> None:
        super().__init__(broker, process)
        self._group = group
        # None lasts here for long enough to be one that never ends.
        self._subscription = SimpleNamespace(reassignment_in_progress=False)
        self._paused: set[TopicPartition] = set()
        self._listener: Any = None
        self._heart: asyncio.Task[None] | None = None
        self._stray: list[TopicPartition] = []

    def subscribe(self, topics: Sequence[str], *, listener: Any) -> None:
        """Join the group, and again whenever it is dealt anew."""
        self._listener = listener
        self._heart = asyncio.get_running_loop().create_task(self._live())

    async def stop(self) -> None:
        """Hand the partitions back and leave."""
        if self._heart is not None:
            self._heart.cancel()
            await self._give_back()
            self._group.leave(self)

    def assignment(self) -> Sequence[TopicPartition]:
        """What it reads; in order, or the order of sets would make worlds differ."""
        return list(self.positions)

    def pause(self, *places: TopicPartition) -> None:
        """Return no records of these."""
        self._paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        """Return their records again."""
        self._paused.difference_update(places)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """B7: for tools that show lag."""
        self.process.reach("offsets.asked")
        await self.broker.answer()
        self._group.committed.update(offsets)

    async def getmany(
        self, *, timeout_ms: int, max_records: int | None = None
    ) -> dict[TopicPartition, list[LogRecord]]:
        """Records of what is not paused; sometimes also some that were fetched before a pause could keep them."""
        await self.broker.answer()
        found = self.fetched([*self._reading(), *self._strayed()])
        if not found and timeout_ms:
            await asyncio.sleep(timeout_ms / 1000)
            found = self.fetched(self._reading())
        self.process.reach("polled")
        return found

    def _reading(self) -> list[TopicPartition]:
        return [place for place in self.positions if place not in self._paused]

    def _strayed(self) -> list[TopicPartition]:
        stray, self._stray = self._stray, []
        return [place for place in stray if place in self._paused and place in self.positions]

    async def _live(self) -> None:
        """Heartbeats; who was expelled, or whose group is dealt anew, gives up what it has and joins again."""
        while True:
            if self._group.beat(self):
                await self._give_back()
                self._take(await self._group.join(self))
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    async def _give_back(self) -> None:
        if self.positions:
            await self._listener.on_partitions_revoked(list(self.positions))
            self.positions = {}
            self.process.reach("revoked")

    def _take(self, places: Sequence[TopicPartition]) -> None:
        """The assignment is active before anybody is told, and starts at whatever was committed for lag tools."""
        self._paused = set()
        self.positions = {place: self._group.committed.get(place, 0) for place in places}
        if self.broker.faults.chance(self.broker.faults.rates.strays):
            self._stray = list(places)
        self._listener.on_partitions_assigned(places)
        self.process.reach("assigned")
