"""Puts claimed deliveries on the wire: endpoints in turn, each within what it can take, all within one limit.

First attempts go before retries before replays. Endpoints that fail or are slow share half of all permits, so that the
other half is always there for those that are well.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

import structlog

from services.notifier.domain.concurrency import Concurrency
from services.notifier.domain.endpoint_limit import remember
from services.notifier.domain.outcome import Priority, Result
from services.notifier.lanes import Delivering, Lane
from services.notifier.paces import Paces
from services.notifier.recipients import Unsendable
from services.notifier.sender.request import Recipient
from services.notifier.store.queue import CLAIM_FAST_MAX, CLAIM_MAX, QUEUED_MAX, Claimed

log = structlog.get_logger(__name__)

# The result of the attempt; None of a delivery that had waited too long to be attempted.
Deliver = Callable[[Claimed, Recipient | Unsendable], Coroutine[Any, Any, Result | None]]


class Dispatcher:
    """`want_more` is called when an endpoint whose claim was full runs low, or something waited too long."""

    def __init__(self, deliver: Deliver, *, in_flight_max: int, want_more: Callable[[], None]) -> None:
        self._deliver = deliver
        self._in_flight_max = in_flight_max
        self._want_more = want_more
        self._lanes: dict[str, Lane] = {}
        self._known: dict[str, Concurrency] = {}
        self._turns = tuple(OrderedDict[str, None]() for _ in Priority)
        self._paces = Paces(self._resume)
        self._parked: dict[str, None] = {}
        self._tasks: dict[Delivering, Claimed] = {}
        self._troubled: set[Delivering] = set()
        self._stale: list[Claimed] = []

    @property
    def in_flight(self) -> int:
        """Deliveries under way."""
        return len(self._tasks)

    def queued(self) -> dict[str, int]:
        """Claimed deliveries that wait here, by endpoint."""
        return {id_: count for id_, lane in self._lanes.items() if (count := len(lane))}

    @property
    def queued_bytes(self) -> int:
        """Those of the bodies that wait here."""
        return sum(lane.waiting_bytes for lane in self._lanes.values())

    def shares(self) -> dict[str, int]:
        """How many deliveries each endpoint that has some here may have claimed; endpoints beyond get the least."""
        fair = QUEUED_MAX // max(len(self._lanes), 1)
        for lane in self._lanes.values():
            lane.share = max(CLAIM_MAX, min(int(lane.concurrency.per_second), CLAIM_FAST_MAX, fair))
        return {id_: lane.share for id_, lane in self._lanes.items()}

    def offer(
        self,
        claims: Iterable[Claimed],
        recipients: Mapping[str, Recipient | Unsendable],
        *,
        full: Collection[str] = (),
    ) -> None:
        """Take claimed deliveries and start what may start; more may be due for the endpoints in `full`."""
        for claim in claims:
            lane = self._lane(claim.endpoint_id, recipients[claim.endpoint_id])
            lane.add(claim)
            lane.hungry = claim.endpoint_id in full
            self._take_turn(claim.endpoint_id, lane)
        self._start_all()

    def renew(self, recipients: Mapping[str, Recipient | Unsendable]) -> None:
        """Let what waits go out on these terms."""
        for endpoint_id, recipient in recipients.items():
            if (lane := self._lanes.get(endpoint_id)) is not None:
                lane.recipient = recipient

    def take_back(self) -> list[Claimed]:
        """Everything not started yet, for giving back its leases."""
        return self.take_stale() + [claim for lane in self._lanes.values() for claim in lane.take_all()]

    def take_stale(self) -> list[Claimed]:
        """What had waited too long since this was asked last, for giving back its leases."""
        stale, self._stale = self._stale, []
        return stale

    def withdraw(self, endpoint_ids: Collection[str]) -> list[Claimed]:
        """What has not been started for these endpoints, for giving back its leases."""
        withdrawn: list[Claimed] = []
        for endpoint_id in endpoint_ids:
            if (lane := self._lanes.get(endpoint_id)) is not None:
                withdrawn += lane.take_all()
                self._drop_if_empty(endpoint_id, lane)
        return withdrawn

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

    def _lane(self, endpoint_id: str, recipient: Recipient | Unsendable) -> Lane:
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            known = self._known.get(endpoint_id) or Concurrency()
            remember(self._known, endpoint_id, known)
            lane = self._lanes[endpoint_id] = Lane(recipient, known)
        lane.recipient = recipient
        return lane

    def _drop_if_empty(self, endpoint_id: str, lane: Lane) -> None:
        if not lane.started and not len(lane):
            del self._lanes[endpoint_id]

    def _take_turn(self, endpoint_id: str, lane: Lane) -> None:
        """Stand in line as what is first here may; one place in each line, whatever goes before it meanwhile."""
        if lane.may_start and self._paces.permit(endpoint_id, lane.recipient):
            self._turns[lane.priority].setdefault(endpoint_id)

    def _next_turn(self) -> str | None:
        for turns in self._turns:
            if turns:
                return turns.popitem(last=False)[0]
        return None

    def _start_all(self) -> None:
        while len(self._tasks) < self._in_flight_max and (endpoint_id := self._next_turn()) is not None:
            lane = self._lanes.get(endpoint_id)
            if lane is not None and lane.may_start and self._paces.permit(endpoint_id, lane.recipient):
                self._start(endpoint_id, lane)

    def _start(self, endpoint_id: str, lane: Lane) -> None:
        now = time.monotonic()
        troubled = lane.troubled(now)
        if troubled and len(self._troubled) >= max(self._in_flight_max // 2, 1):
            self._parked[endpoint_id] = None
            return
        self._paces.take(endpoint_id)
        claim = lane.take()
        task = asyncio.create_task(self._deliver(claim, lane.recipient))
        self._tasks[task] = claim
        lane.started[task] = now
        if troubled:
            self._troubled.add(task)
        task.add_done_callback(partial(self._ended, endpoint_id))
        self._take_turn(endpoint_id, lane)
        if lane.hungry and 2 * len(lane) < lane.share:
            lane.hungry = False
            self._want_more()

    def _resume(self, endpoint_id: str) -> None:
        """An endpoint may be sent to again at its pace."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            self._take_turn(endpoint_id, lane)
            self._start_all()

    def _ended(self, endpoint_id: str, task: Delivering) -> None:
        claim = self._tasks.pop(task)
        lane = self._lanes[endpoint_id]
        started_at = lane.started.pop(task)
        if not task.cancelled():
            self._conclude(claim, lane, task, started_at)
        self._take_turn(endpoint_id, lane)
        self._drop_if_empty(endpoint_id, lane)
        if task in self._troubled:
            self._troubled.discard(task)
            self._unpark()
        self._start_all()

    def _conclude(self, claim: Claimed, lane: Lane, task: Delivering, started_at: float) -> None:
        error = task.exception()
        if error is not None:
            log.error("delivery_failed_internally", delivery=claim.id, exc_info=error)
        elif (result := task.result()) is None:
            self._stale.append(claim)
            self._want_more()
        else:
            lane.concurrency.observe(
                result, started_at=started_at, ended_at=time.monotonic(), cap=lane.recipient.concurrency_max
            )

    def _unpark(self) -> None:
        parked, self._parked = self._parked, {}
        for endpoint_id in parked:
            lane = self._lanes.get(endpoint_id)
            if lane is not None:
                self._take_turn(endpoint_id, lane)
