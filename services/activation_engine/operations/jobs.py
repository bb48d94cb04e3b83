"""Long work as rows that any replica answers about: progress, result, cancelling, and what died with its process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

# A running job that was not heard of for this long has died with its process.
SILENT_SECONDS_MAX = 30
# Ended jobs are kept this long.
KEPT_DAYS = 30
DIED = "The process that worked on it is gone; start it again."

_COLUMNS = "id, kind, part, arguments, state, done, total, result, error, created_at, heartbeat_at, ended_at"
_SILENT = f"state = 'running' AND heartbeat_at < now() - interval '{SILENT_SECONDS_MAX} seconds'"
_CLEAN = sa.text(
    f"DELETE FROM activation.job WHERE ended_at < now() - interval '{KEPT_DAYS} days'"  # noqa: S608 - ours
)
_BURY = sa.text(
    f"UPDATE activation.job SET state = 'failed', error = :died, ended_at = now() WHERE {_SILENT}"  # noqa: S608 - ours
)
_INSERT = sa.text(f"""
INSERT INTO activation.job (id, kind, part, arguments, state, total, requested_by)
VALUES (:id, :kind, :part, CAST(:arguments AS jsonb), :state, :total, :by)
ON CONFLICT (kind) WHERE state = 'running' DO NOTHING RETURNING {_COLUMNS}
""")  # noqa: S608 - ours
_READ = sa.text(f"SELECT {_COLUMNS}, {_SILENT} AS silent FROM activation.job WHERE id = :id")  # noqa: S608 - ours
_NEWEST = sa.text(
    "SELECT CAST(result->>CAST(:name AS text) AS bigint) FROM activation.job WHERE kind = :kind AND state = 'done'"
    " ORDER BY ended_at DESC LIMIT 1"
)
_RUNNING = sa.text("SELECT id FROM activation.job WHERE kind = :kind AND state = 'running'")
_CANCEL = sa.text(
    "UPDATE activation.job SET state = 'cancelled', ended_at = now() WHERE id = :id AND state IN ('waiting', 'running')"
)
_BEAT = sa.text(
    "UPDATE activation.job SET done = :done, total = :total, heartbeat_at = now()"
    " WHERE id = :id AND state IN ('waiting', 'running') RETURNING id"
)
_END = sa.text(
    "UPDATE activation.job SET state = :state, result = CAST(:result AS json), error = :error, ended_at = now(),"
    " done = CASE WHEN :state = 'done' THEN coalesce(total, done) ELSE done END"
    " WHERE id = :id AND state IN ('waiting', 'running')"
)
_WAITING = sa.text(
    f"SELECT {_COLUMNS} FROM activation.job"  # noqa: S608 - ours
    " WHERE kind = :kind AND state = 'waiting' AND part = ANY(CAST(:parts AS integer[])) ORDER BY created_at LIMIT 100"
)


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `done` of `total` steps; `total` is None while that is not known."""

    id: UUID
    kind: str
    part: int | None
    arguments: Mapping[str, Any]
    state: str
    done: int
    total: int | None
    result: Any
    error: str | None
    created_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None


class AlreadyRunning(Exception):
    """Of this kind one runs already."""

    def __init__(self, job_id: UUID | None) -> None:
        super().__init__(str(job_id))
        self.job_id = job_id


class JobStore:
    """One short transaction per call."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(
        self,
        kind: str,
        *,
        state: str,
        by: str,
        part: int | None = None,
        arguments: Mapping[str, Any] | None = None,
        total: int | None = None,
    ) -> Job:
        """A new job, `waiting` or `running`; of the running ones at most one of a kind, else AlreadyRunning."""
        given = {"id": uuid4(), "kind": kind, "part": part, "arguments": json.dumps(dict(arguments or {}))}
        async with self._engine.begin() as connection:
            await connection.execute(_CLEAN)
            await connection.execute(_BURY, {"died": DIED})
            row = (await connection.execute(_INSERT, {**given, "state": state, "total": total, "by": by})).one_or_none()
            if row is None:
                raise AlreadyRunning(await connection.scalar(_RUNNING, {"kind": kind}))
        return Job(*row)

    async def read(self, job_id: UUID) -> Job | None:
        """The job as it is; one that died is `failed`."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_READ, {"id": job_id})).one_or_none()
        if row is None:
            return None
        *columns, silent = row
        found = Job(*columns)
        return _dead(found) if silent else found

    async def cancel(self, job_id: UUID) -> Job | None:
        """End it, unless it has ended; whoever works on it notices within seconds. The job, or None if unknown."""
        async with self._engine.begin() as connection:
            await connection.execute(_CANCEL, {"id": job_id})
        return await self.read(job_id)

    async def beat(self, job_id: UUID, *, done: int, total: int | None) -> bool:
        """Note how far it is. False when nobody wants it any more."""
        async with self._engine.begin() as connection:
            row = await connection.execute(_BEAT, {"id": job_id, "done": done, "total": total})
            return row.one_or_none() is not None

    async def end(self, job_id: UUID, *, state: str, result: object = None, error: str | None = None) -> None:
        """It is `done`, with a result, or `failed`, with an error in one sentence."""
        written = None if result is None else json.dumps(result)
        async with self._engine.begin() as connection:
            await connection.execute(_END, {"id": job_id, "state": state, "result": written, "error": error})

    async def newest_count(self, kind: str, name: str) -> int | None:
        """The number under this name in the result of the newest job that is done; None when there is none, or when an
        erasure took it away."""
        async with self._engine.connect() as connection:
            count: int | None = await connection.scalar(_NEWEST, {"kind": kind, "name": name})
            return count

    async def waiting(self, kind: str, parts: list[int]) -> list[Job]:
        """Jobs of this kind that the owners of these partitions have to do, oldest first, 100 at most."""
        async with self._engine.connect() as connection:
            return [Job(*row) for row in await connection.execute(_WAITING, {"kind": kind, "parts": parts})]


def _dead(job: Job) -> Job:
    return replace(job, state="failed", error=DIED, ended_at=job.heartbeat_at)
