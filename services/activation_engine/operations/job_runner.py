"""Runs jobs beside the process's other work: heartbeats while they run, an end that is written whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.activation_engine.log_probe import LogUnreachable
from services.activation_engine.operations.jobs import Job, JobStore

log = structlog.get_logger(__name__)

_BEAT_SECONDS = 1.0
_END_TRIES = 5
_AWAY = "The database or the broker went away meanwhile; start it again."
_STOPPED = "The process that worked on it was stopped; start it again."
_BROKEN = "It failed on our side; the service's log says more, under this job's id."


@dataclass(slots=True)
class Progress:
    """How far the work is, in steps; `total` is None while that is not known."""

    done: int = 0
    total: int | None = None


Work: TypeAlias = Callable[[Progress], Awaitable[dict[str, Any]]]


class JobRunner:
    """Starts jobs in this process."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, kind: str, work: Work, *, by: str) -> Job:
        """A running job that does `work`, whose answer becomes its result. Raises jobs.AlreadyRunning."""
        job = await self._store.create(kind, state="running", by=by)
        log.info("job_started", job=str(job.id), action=kind, by=by)
        task = asyncio.create_task(self._run(job.id, work), name=f"job-{job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def close(self) -> None:
        """End what still runs; it is shown as failed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, job_id: UUID, work: Work) -> None:
        progress = Progress()
        working = asyncio.ensure_future(work(progress))
        try:
            while not working.done():
                await asyncio.wait({working}, timeout=_BEAT_SECONDS)
                if not await self._beat(job_id, progress):
                    log.info("job_cancelled", job=str(job_id))
                    return
            await self._conclude(job_id, working)
        except asyncio.CancelledError:
            await self._end(job_id, state="failed", error=_STOPPED)
            raise
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _beat(self, job_id: UUID, progress: Progress) -> bool:
        try:
            return await self._store.beat(job_id, done=progress.done, total=progress.total)
        except (SQLAlchemyError, OSError):
            # Whether anybody still wants it is asked again in a moment.
            return True

    async def _conclude(self, job_id: UUID, working: asyncio.Future[dict[str, Any]]) -> None:
        error = working.exception()
        if error is None:
            await self._end(job_id, state="done", result=working.result())
        elif isinstance(error, (SQLAlchemyError, LogUnreachable, OSError)):
            log.warning("job_failed", job=str(job_id), error=type(error).__name__, reason=str(error)[:200])
            await self._end(job_id, state="failed", error=_AWAY)
        else:
            log.error("job_failed", job=str(job_id), error=type(error).__name__, exc_info=error)
            await self._end(job_id, state="failed", error=_BROKEN)

    async def _end(self, job_id: UUID, *, state: str, result: object = None, error: str | None = None) -> None:
        for _ in range(_END_TRIES):
            try:
                await self._store.end(job_id, state=state, result=result, error=error)
            except (SQLAlchemyError, OSError):
                await asyncio.sleep(_BEAT_SECONDS)
            else:
                log.info("job_ended", job=str(job_id), state=state)
                return
        # Its silence will tell.
        log.warning("job_end_not_written", job=str(job_id), state=state)
