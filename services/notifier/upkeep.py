"""Workers beside the path of deliveries: lost leases, gauges, held deliveries, digests, replays, retention."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

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

COUNT_SECONDS = 2.0
HELD_SECONDS = 30.0
BLANK_SECONDS = 5.0
GATE_SECONDS = 0.5
TELL_SECONDS = 30.0
DIGEST_SECONDS = 1.0
REPLAY_SECONDS = 1.0
REPLAY_STEP_SECONDS = 0.25
RETENTION_SECONDS = 3600.0
PARTITION_DAYS_AHEAD = 7
_RELEASED_AT_ONCE_MAX = 5_000


class Upkeep:
    """Each method ending in `_worker` runs until the process stops."""

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

    async def lease_worker(self, *, lease_seconds: float) -> None:
        """Return deliveries of processes that died to the queue."""
        await self._repeat(self.expire_leases, min(1.0, lease_seconds / 4))

    async def count_worker(self) -> None:
        """Keep gauges and the backlog current, release what was held for it."""
        await self._repeat(self.count, COUNT_SECONDS)

    async def held_worker(self) -> None:
        """Keep the gauge of held deliveries current."""

        async def count() -> None:
            self._metrics.held.set(await self._store.held())

        await self._repeat(count, HELD_SECONDS)

    async def recovery_worker(self) -> None:
        """Pull forward what waits for endpoints that answer again."""
        await self._repeat(self.pull_forward, GATE_SECONDS)

    async def health_worker(self) -> None:
        """Tell of endpoints that keep failing, and give up on hopeless ones."""
        await self._repeat(self.judge_endpoints, TELL_SECONDS)

    async def erasure_worker(self) -> None:
        """Let the last that is known of erased accounts go."""
        await self._repeat(self.blank_notices, BLANK_SECONDS)

    async def digest_worker(self) -> None:
        """Send digests when their time has come."""
        await self._repeat(self.make_digests, DIGEST_SECONDS)

    async def replay_worker(self) -> None:
        """Move replays on, a window of deliveries at a time: they never crowd a queue, and a cancel has little to undo.

        Several processes may run one; a step of a replay is one process's at a time.
        """
        await self._repeat(self.move_replays, REPLAY_SECONDS)

    async def retention_worker(self, *, attempts_days: int, bodies_days: int, ids_days: int) -> None:
        """Create partitions ahead, drop and delete what is past retention."""

        async def tidy() -> None:
            await self._store.keep_partitions(days_ahead=PARTITION_DAYS_AHEAD, days_kept=attempts_days)
            for drop, days_kept in (
                (self._store.drop_bodies, bodies_days),
                (self._store.drop_replays, bodies_days),
                (self._store.drop_letters, bodies_days),
                (self._store.drop_ids, ids_days),
            ):
                while not self._stopping and await drop(days_kept=days_kept):
                    continue

        await self._repeat(tidy, RETENTION_SECONDS)

    async def expire_leases(self) -> None:
        """One round of looking for lost leases."""
        expired = await self._queue.expire_leases()
        if expired:
            self._metrics.leases_expired.inc(expired)
            log.warning("leases_expired", deliveries=expired)
            self._wake()

    async def pull_forward(self) -> None:
        """One round of pulling forward; as many statements as it takes."""
        while pulled := await self._gates.pull_forward():
            log.info("pulled_forward", deliveries=pulled)
            self._wake()

    async def judge_endpoints(self) -> None:
        """One round of looking at endpoints that fail."""
        for endpoint_id, since in await self._gates.announce_failing():
            self._metrics.notices.labels("endpoint.failing").inc()
            log.warning("endpoint_failing", endpoint=endpoint_id, since=since.isoformat())
        for endpoint_id in await self._gates.disable_hopeless():
            self._metrics.notices.labels("endpoint.disabled").inc()
            log.error("endpoint_disabled", endpoint=endpoint_id, reason="failing")
        self._wake()

    async def blank_notices(self) -> None:
        """One round of blanking what told of erasures."""
        blanked = await self._store.blank_notices()
        if blanked:
            log.info("erasures_completed", signals=blanked)

    async def make_digests(self) -> None:
        """One round over all stretches of time that have ended."""
        made = await self._digests.make_due()
        if made:
            log.info("digests_made", digests=made)
            self._wake()

    async def move_replays(self) -> float | None:
        """One round over all replays; the pause until the next one while any runs."""
        await self._replays.take_back()
        running = await self._replays.running()
        queued = [await self._replays.step(replay_id) for replay_id in running]
        if any(queued):
            self._wake()
        return REPLAY_STEP_SECONDS if running else None

    async def count(self) -> None:
        """One round of counting."""
        standing = await self._store.standing()
        self._backlog.replace(standing.waiting)
        self._metrics.pending.set(sum(standing.waiting.values()))
        self._metrics.endpoints.labels("enabled").set(standing.enabled)
        self._metrics.endpoints.labels("disabled").set(standing.disabled)
        self._metrics.endpoints.labels("failing").set(standing.failing)
        self._metrics.endpoints.labels("broken").set(standing.broken)
        self._metrics.due_lag_seconds.set(standing.due_lag_seconds)
        self._metrics.in_flight.set(self._dispatcher.in_flight)
        for endpoint_id in standing.backlog_held:
            await self._release(endpoint_id)

    async def _release(self, endpoint_id: str) -> None:
        room = self._backlog.room(endpoint_id)
        # Half of the cap, so that an endpoint at its limit is not moved one by one.
        if room >= self._backlog.waiting_max // 2:
            released = await self._store.release_held(endpoint_id, most=min(room, _RELEASED_AT_ONCE_MAX))
            self._backlog.add(endpoint_id, released)
            self._wake()

    async def _repeat(self, action: Callable[[], Awaitable[float | None]], seconds: float) -> None:
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
                    log.warning("upkeep_failed", action=getattr(action, "__name__", ""), error=type(error).__name__)
                failing = True
            await self._stopping.sleep(1.0 if failing else pause or seconds)
