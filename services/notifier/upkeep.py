"""Workers beside the path of deliveries: lost leases, gauges, held deliveries, digests, replays, retention."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.notifier.backlog import Backlog
from services.notifier.dispatcher import Dispatcher
from services.notifier.metrics import NotifierMetrics
from services.notifier.store.digests import DigestStore
from services.notifier.store.gates import GateStore
from services.notifier.store.queue import QueueStore
from services.notifier.store.replays import ReplayStore
from services.notifier.store.upkeep import UpkeepStore
from services.runtime.postgres import is_transient
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

REPLAY_STEP_SECONDS = 0.25
PARTITION_DAYS_AHEAD = 7
_RELEASED_AT_ONCE_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """For how many days attempts, bodies with all that goes with them, ids, and who saw a secret are kept."""

    attempts_days: int
    bodies_days: int
    ids_days: int
    accesses_days: int


class Upkeep:
    """Every public method but `workers` is one round."""

    def __init__(
        self,
        *,
        queue: QueueStore,
        store: UpkeepStore,
        gates: GateStore,
        digests: DigestStore,
        replays: ReplayStore,
        backlog: Backlog,
        dispatcher: Dispatcher,
        metrics: NotifierMetrics,
        wake: Callable[[], None],
        stopping: Stopping,
    ) -> None:
        self._queue = queue
        self._store = store
        self._gates = gates
        self._digests = digests
        self._replays = replays
        self._backlog = backlog
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._wake = wake
        self._stopping = stopping

    def workers(self, *, lease_seconds: float, kept: Kept) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Each round of upkeep by name, over and over until the process stops.

        All replicas run all of them. Where two would do the same, row locks give it to one.
        """
        # Each with the seconds until the next round.
        rounds: dict[str, tuple[Callable[[], Awaitable[float | None]], float]] = {
            "leases": (self.expire_leases, min(1.0, lease_seconds / 4)),
            "counts": (self.count, 2.0),
            "held": (self.count_held, 30.0),
            "recoveries": (self.pull_forward, 0.5),
            "health": (self.judge_endpoints, 30.0),
            "erasures": (self.blank_notices, 5.0),
            "digests": (self.make_digests, 1.0),
            "replays": (self.move_replays, 1.0),
            "retention": (partial(self.tidy, kept), 3600.0),
        }
        return {name: partial(self._repeat, name, *each) for name, each in rounds.items()}

    async def expire_leases(self) -> None:
        """Return deliveries of processes that died to the queue."""
        expired = await self._queue.expire_leases()
        if expired:
            self._metrics.leases_expired.inc(expired)
            log.warning("leases_expired", deliveries=expired)
            self._wake()

    async def pull_forward(self) -> None:
        """Make due what waits for endpoints that answer again."""
        while pulled := await self._gates.pull_forward():
            log.info("pulled_forward", deliveries=pulled)
            self._wake()

    async def judge_endpoints(self) -> None:
        """Tell of endpoints that keep failing, and give up on hopeless ones."""
        for endpoint_id, since in await self._gates.announce_failing():
            self._metrics.notices.labels("endpoint.failing").inc()
            log.warning("endpoint_failing", endpoint=endpoint_id, since=since.isoformat())
        for endpoint_id in await self._gates.disable_hopeless():
            self._metrics.notices.labels("endpoint.disabled").inc()
            log.error("endpoint_disabled", endpoint=endpoint_id, reason="failing")
        self._wake()

    async def blank_notices(self) -> None:
        """Let the last that is known of erased accounts go."""
        blanked = await self._store.blank_notices()
        if blanked:
            log.info("erasures_completed", signals=blanked)

    async def make_digests(self) -> None:
        """Send the digests of stretches of time that have ended."""
        made = await self._digests.make_due()
        if made:
            log.info("digests_made", digests=made)
            self._wake()

    async def move_replays(self) -> float | None:
        """Move replays on, a window of deliveries at a time: they never crowd a queue, and a cancel has little to undo.
        Returns the pause until the next round while any runs."""
        await self._replays.take_back()
        running = await self._replays.running()
        queued = [await self._replays.step(replay_id) for replay_id in running]
        if any(queued):
            self._wake()
        return REPLAY_STEP_SECONDS if running else None

    async def count(self) -> None:
        """Keep gauges and the backlog current, release what was held for it."""
        standing = await self._store.standing()
        self._backlog.replace(standing.waiting)
        self._metrics.pending.set(sum(standing.waiting.values()))
        self._metrics.endpoints.labels("enabled").set(standing.enabled)
        self._metrics.endpoints.labels("disabled").set(standing.disabled)
        self._metrics.endpoints.labels("failing").set(standing.failing)
        self._metrics.endpoints.labels("broken").set(standing.broken)
        self._metrics.due_lag_seconds.set(standing.due_lag_seconds)
        self._metrics.intake_last_progress.set(standing.read_at)
        self._metrics.in_flight.set(self._dispatcher.in_flight)
        for endpoint_id in standing.backlog_held:
            await self._release(endpoint_id)

    async def count_held(self) -> None:
        """Keep the gauge of held deliveries current."""
        self._metrics.held.set(await self._store.held())

    async def tidy(self, kept: Kept) -> None:
        """Create partitions ahead, drop and delete what is past retention."""
        await self._store.keep_partitions(days_ahead=PARTITION_DAYS_AHEAD, days_kept=kept.attempts_days)
        for drop, days_kept in (
            (self._store.drop_bodies, kept.bodies_days),
            (self._store.drop_replays, kept.bodies_days),
            (self._store.drop_letters, kept.bodies_days),
            (self._store.drop_ids, kept.ids_days),
            (self._store.drop_endpoints, kept.bodies_days),
            (self._store.drop_accesses, kept.accesses_days),
        ):
            while not self._stopping and await drop(days_kept=days_kept):
                continue

    async def _release(self, endpoint_id: str) -> None:
        room = self._backlog.room(endpoint_id)
        # Half of the cap, so that an endpoint at its limit is not moved one by one.
        if room >= self._backlog.waiting_max // 2:
            released = await self._store.release_held(endpoint_id, most=min(room, _RELEASED_AT_ONCE_MAX))
            self._backlog.add(endpoint_id, released)
            self._wake()

    async def _repeat(self, name: str, action: Callable[[], Awaitable[float | None]], seconds: float) -> None:
        """Every so many seconds, or after those that the action asks for; a database that is away is waited for."""
        failing, pause = False, None
        while not self._stopping:
            try:
                pause = await action()
                failing = False
            except (SQLAlchemyError, OSError) as error:
                if not is_transient(error):
                    raise
                if not failing:
                    log.warning("upkeep_failed", action=name, error=type(error).__name__)
                failing = True
            await self._stopping.sleep(1.0 if failing else pause or seconds)
