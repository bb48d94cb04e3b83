"""Keeps each endpoint to its own rate on the wire, and says when one may go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from services.notifier.domain.pace import Pace
from services.notifier.recipients import Unsendable
from services.notifier.sender.request import Recipient

# Full buckets are forgotten when there are this many: a full one is like a new one.
_KEPT_MAX = 1_000


class Paces:
    """Buckets by endpoint id; `resume` is called with an endpoint's id once it has a permit that was waited for.

    A process keeps its own: with n notifiers an endpoint with work on all of them gets n times its rate.
    """

    def __init__(self, resume: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._resume = resume
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def permit(self, endpoint_id: str, recipient: Recipient | Unsendable) -> bool:
        """Whether a request may start now; if not, `resume` follows when it may."""
        if isinstance(recipient, Unsendable) or recipient.pace is None:
            self._paces.pop(endpoint_id, None)
            return True
        now = self._clock()
        wait_seconds = self._of(endpoint_id, *recipient.pace, now=now).wait_seconds(now)
        if wait_seconds > 0 and endpoint_id not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[endpoint_id] = loop.call_later(wait_seconds, self._ring, endpoint_id)
        return wait_seconds <= 0

    def take(self, endpoint_id: str) -> None:
        """Use the permit."""
        pace = self._paces.get(endpoint_id)
        if pace is not None:
            pace.take(self._clock())

    def _of(self, endpoint_id: str, per_second: float, burst: int, *, now: float) -> Pace:
        pace = self._paces.get(endpoint_id)
        if pace is None or (pace.per_second, pace.burst) != (per_second, burst):
            if len(self._paces) >= _KEPT_MAX:
                self._paces = {id_: each for id_, each in self._paces.items() if each.full_at > now}
            pace = self._paces[endpoint_id] = Pace(per_second, burst)
        return pace

    def _ring(self, endpoint_id: str) -> None:
        del self._timers[endpoint_id]
        self._resume(endpoint_id)
