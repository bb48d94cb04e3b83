"""What the owner of a partition does for operators, whichever replica they asked: goes on, sends signals again."""

from __future__ import annotations

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.leases import Leases
from services.activation_engine.operations.jobs import Job, JobStore
from services.activation_engine.operations.republishing import REPUBLISH
from services.activation_engine.relay import Relay
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

_GOING_ON = sa.text(
    "SELECT part FROM activation.partition_lease WHERE part = ANY(CAST(:parts AS integer[])) AND stopped IS NULL"
)


class OwnersDuties:
    """Looks at the database for what concerns the partitions of this process."""

    def __init__(self, engine: AsyncEngine, *, leases: Leases, relay: Relay, jobs: JobStore) -> None:
        self._engine = engine
        self._leases = leases
        self._relay = relay
        self._jobs = jobs

    async def run(self, stopping: Stopping, *, poll_seconds: float) -> None:
        """Worker: look until stopped; a database that is away is waited for."""
        while not await stopping.sleep(poll_seconds):
            try:
                await self.go_on()
                await self.republish()
            except (SQLAlchemyError, OSError) as error:
                log.debug("wishes_not_read", error=type(error).__name__)

    async def go_on(self) -> None:
        """Claim stopped partitions that an operator let go on. Their log is looked at again before anything moves."""
        stopped = list(self._leases.stopped)
        if stopped:
            async with self._engine.connect() as connection:
                self._leases.reclaim((await connection.execute(_GOING_ON, {"parts": stopped})).scalars().all())

    async def republish(self) -> None:
        """Have the relay send again what is wished for; a wish outlives owners and is begun anew by the next."""
        held = list(self._leases.held)
        if not held:
            return
        waiting = await self._jobs.waiting(REPUBLISH, held)
        for part in held:
            wanted = {job.id: job for job in waiting if job.part == part}
            sent = self._relay.repeat(part, {job_id: _numbers(job) for job_id, job in wanted.items()})
            for job_id, seq in sent.items():
                await self._note(wanted[job_id], seq)

    async def _note(self, job: Job, sent_seq: int) -> None:
        numbers = _numbers(job)
        done = sent_seq - numbers.start + 1
        if done == len(numbers):
            await self._jobs.end(job.id, state="done", result={"republished": done})
        elif done > job.done:
            await self._jobs.beat(job.id, done=done, total=len(numbers))


def _numbers(job: Job) -> range:
    return range(job.arguments["from_seq"], job.arguments["to_seq"] + 1)
