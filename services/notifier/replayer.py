"""Moves replays on, a window of deliveries at a time: they never crowd a queue, and a cancel has little to undo."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.notifier.store.replays import ReplayStore
from services.runtime.postgres import is_transient
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

_STEP_SECONDS = 0.25
_IDLE_SECONDS = 1.0


class Replayer:
    """The worker; several processes may run one, a step of a replay is one process's at a time."""

    def __init__(self, store: ReplayStore, *, wake: Callable[[], None], stopping: Stopping) -> None:
        self._store = store
        self._wake = wake
        self._stopping = stopping

    async def run(self) -> None:
        """Until the process stops; a database that is away is waited for."""
        while not self._stopping:
            busy = False
            try:
                busy = await self.step()
            except (SQLAlchemyError, OSError) as error:
                if not is_transient(error):
                    raise
                log.warning("replay_step_failed", error=type(error).__name__)
            await self._stopping.sleep(_STEP_SECONDS if busy else _IDLE_SECONDS)

    async def step(self) -> bool:
        """One round over all replays; whether any is running."""
        await self._store.take_back()
        running = await self._store.running()
        queued = [await self._store.step(replay_id) for replay_id in running]
        if any(queued):
            self._wake()
        return bool(running)
