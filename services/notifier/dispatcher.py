"""Puts claimed deliveries on the wire: round-robin over endpoints, each within its cap, all within one limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from services.notifier.paces import Paces
from services.notifier.recipients import Unsendable
from services.notifier.sender.request import Recipient
from services.notifier.store.queue import CLAIM_MAX, Claimed

# An endpoint asks for more when fewer than this are left of a claim that was full.
_LOW_WATER = CLAIM_MAX // 2

Deliver = Callable[[Claimed, Recipient | Unsendable], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Lane:
    """One endpoint's claimed deliveries; a permit is held only while a request is on the wire."""

    recipient: Recipient | Unsendable
    waiting: deque[Claimed] = field(default_factory=deque)
    in_flight: int = 0
    hungry: bool = False

    @property
    def may_start(self) -> bool:
        return bool(self.waiting) and self.in_flight < self.recipient.concurrency_max


class Dispatcher:
    """`want_more` is called when an endpoint whose claim was full runs low."""

    def __init__(self, deliver: Deliver, *, in_flight_max: int, want_more: Callable[[], None]) -> None:
        self._deliver = deliver
        self._in_flight_max = in_flight_max
        self._want_more = want_more
        self._lanes: dict[str, _Lane] = {}
        self._turns: deque[str] = deque()
        self._queued_turns: set[str] = set()
        self._tasks: dict[asyncio.Task[None], Claimed] = {}
        self._paces = Paces(self._resume)

    @property
    def in_flight(self) -> int:
        """Deliveries under way."""
        return len(self._tasks)

    def queued(self) -> dict[str, int]:
        """Claimed deliveries that wait here, by endpoint."""
        return {id_: len(lane.waiting) for id_, lane in self._lanes.items() if lane.waiting}

    def offer(self, claims: Iterable[Claimed], recipients: Mapping[str, Recipient | Unsendable]) -> None:
        """Take claimed deliveries and start what may start."""
        for claim in claims:
            lane = self._lanes.get(claim.endpoint_id)
            if lane is None:
                lane = self._lanes[claim.endpoint_id] = _Lane(recipients[claim.endpoint_id])
            lane.recipient = recipients[claim.endpoint_id]
            lane.waiting.append(claim)
            lane.hungry = len(lane.waiting) >= CLAIM_MAX
            self._take_turn(claim.endpoint_id, lane)
        self._start_all()

    def take_back(self) -> list[Claimed]:
        """Everything not started yet, for giving back its leases."""
        unstarted = [claim for lane in self._lanes.values() for claim in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
        return unstarted

    async def finish(self) -> None:
        """Wait for everything on the wire."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def abandon(self) -> list[Claimed]:
        """Cut off what is on the wire; returns it for giving back its leases."""
        abandoned = list(self._tasks.values())
        for task in self._tasks:
            task.cancel()
        return abandoned

    def _take_turn(self, endpoint_id: str, lane: _Lane) -> None:
        if lane.may_start and self._paces.permit(endpoint_id, lane.recipient) and endpoint_id not in self._queued_turns:
            self._queued_turns.add(endpoint_id)
            self._turns.append(endpoint_id)

    def _start_all(self) -> None:
        while self._turns and len(self._tasks) < self._in_flight_max:
            endpoint_id = self._turns.popleft()
            self._queued_turns.discard(endpoint_id)
            lane = self._lanes.get(endpoint_id)
            if lane is None or not lane.may_start or not self._paces.permit(endpoint_id, lane.recipient):
                continue
            self._paces.take(endpoint_id)
            lane.in_flight += 1
            claim = lane.waiting.popleft()
            task = asyncio.create_task(self._deliver(claim, lane.recipient))
            self._tasks[task] = claim
            task.add_done_callback(partial(self._ended, endpoint_id))
            self._take_turn(endpoint_id, lane)
            if lane.hungry and len(lane.waiting) < _LOW_WATER:
                lane.hungry = False
                self._want_more()

    def _resume(self, endpoint_id: str) -> None:
        """An endpoint may be sent to again at its pace."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            self._take_turn(endpoint_id, lane)
            self._start_all()

    def _ended(self, endpoint_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        lane = self._lanes[endpoint_id]
        lane.in_flight -= 1
        self._take_turn(endpoint_id, lane)
        if not lane.waiting and not lane.in_flight:
            del self._lanes[endpoint_id]
        self._start_all()
