"""Replays: jobs that send an endpoint what it was owed before, a window at a time and behind everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifier.domain.outcome import REPLAYABLE, Priority
from services.notifier.store.deliveries import FROM_ID, UNTIL_ID
from services.notifier.store.locks import KEEP_ENDPOINTS

# Deliveries of one replay that may be due or on the wire at once: what a cancel has to take back.
WINDOW_MAX = 1_000

# What is held for the backlog or a digest comes by itself; what is due needs no help; what was erased has no body.
_MATCHES = """d.endpoint_id = :endpoint_id AND d.id > :done_id AND d.id <= :last_id
    AND d.created_at >= :since AND d.created_at < :until AND d.status = ANY(CAST(:statuses AS text[]))
    AND (d.hold_reason IS NULL OR d.hold_reason = 'disabled') AND (d.status <> 'pending' OR d.next_at > now())
    AND (CAST(:types AS text[]) = '{}' OR d.type LIKE ANY(CAST(:types AS text[]))) AND m.body <> ''"""
_COUNT = sa.text(
    f"SELECT count(*) FROM notifier.delivery d JOIN notifier.message m ON m.id = d.message_id WHERE {_MATCHES}"  # noqa: S608 - constants
)
_BOUNDS = sa.text(
    f"""SELECT {FROM_ID} - 1 AS done_id, least(coalesce(max(id), 0), {UNTIL_ID} - 1) AS last_id
    FROM notifier.delivery WHERE endpoint_id = :endpoint_id"""  # noqa: S608 - constants
)
_CREATE = sa.text(
    """INSERT INTO notifier.replay (endpoint_id, since, until, types, statuses, done_id, last_id, total)
    SELECT :endpoint_id, :since, :until, CAST(:types AS text[]), CAST(:statuses AS text[]), :done_id, :last_id, :total
    FROM notifier.endpoint WHERE id = :endpoint_id AND enabled RETURNING id"""
)
_NEWEST_TO = sa.text("SELECT max(id) FROM notifier.replay WHERE endpoint_id = :endpoint_id")
_GET = sa.text("SELECT * FROM notifier.replay WHERE id = :id")
_PROGRESS = sa.text("SELECT status, count(*) AS n FROM notifier.delivery WHERE replay_id = :id GROUP BY status")
_RUNNING = sa.text("SELECT id FROM notifier.replay WHERE status = 'running' ORDER BY id")
# The row lock orders a step and a cancel: whichever comes second sees what the first one did.
_LOCK = sa.text("SELECT * FROM notifier.replay WHERE id = :id AND status = 'running' FOR UPDATE SKIP LOCKED")
_ON_THE_WAY = sa.text(
    """SELECT count(*) FILTER (WHERE status = 'leased' OR next_at <= now()) AS due, count(*) AS unfinished
    FROM notifier.delivery WHERE replay_id = :id AND status IN ('pending', 'leased')"""
)
# What had ended starts its schedule anew; what was waiting for its next attempt keeps its place in it.
_QUEUE = sa.text(
    f"""WITH batch AS MATERIALIZED (
        SELECT d.id, row_number() OVER (ORDER BY d.id) AS place FROM (
            SELECT d.id FROM notifier.delivery d JOIN notifier.message m ON m.id = d.message_id
            WHERE {_MATCHES} ORDER BY d.id LIMIT :most FOR UPDATE OF d
        ) AS d
    )
    UPDATE notifier.delivery d SET status = 'pending', hold_reason = NULL, priority = {Priority.REPLAY},
        manual = false, next_at = now() + batch.place * interval '1 microsecond', replay_id = :id,
        replayed_next_at = d.next_at,
        replayed_status = CASE WHEN d.status = 'pending' THEN coalesce(d.replayed_status, 'pending') ELSE d.status END,
        failures = CASE WHEN d.status = 'pending' THEN d.failures ELSE 0 END,
        restarted_at = CASE WHEN d.status = 'pending' THEN d.restarted_at ELSE now() END
    FROM batch WHERE d.id = batch.id RETURNING d.id"""  # noqa: S608 - constants
)
_ADVANCE = sa.text(
    """UPDATE notifier.replay SET done_id = :done_id, queued = queued + :queued,
        status = CASE WHEN :finished THEN 'completed' ELSE status END,
        finished_at = CASE WHEN :finished THEN now() END
    WHERE id = :id"""
)
_CANCEL = sa.text(
    """UPDATE notifier.replay SET status = 'cancelled', finished_at = now()
    WHERE id = :id AND status = 'running' RETURNING id"""
)
# Also what was on the wire at the time of the cancel and has come back since. What waited for its next attempt before
# goes on waiting for it.
_TAKE_BACK = sa.text(
    f"""UPDATE notifier.delivery d SET status = d.replayed_status, replay_id = NULL, replayed_status = NULL,
        priority = {Priority.RETRY}, hold_reason = CASE WHEN d.replayed_status = 'held' THEN 'disabled' END,
        next_at = CASE WHEN d.replayed_status = 'pending' THEN greatest(d.next_at, d.replayed_next_at) END
    FROM notifier.replay r WHERE r.status = 'cancelled' AND d.replay_id = r.id AND d.status = 'pending'"""  # noqa: S608
)


class ReplayRunning(Exception):
    """The endpoint has a replay, `id`, that has not ended, or only just now; one at a time."""

    def __init__(self, id_: int) -> None:
        super().__init__(id_)
        self.id = id_


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which deliveries: created from `since` to before `until`, of the types (patterns; empty is all), in a state."""

    endpoint_id: str
    since: datetime
    until: datetime
    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = REPLAYABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A job and how far it is; `by_status` counts the deliveries it queued by their state now."""

    id: int
    endpoint_id: str
    since: datetime
    until: datetime
    status: str
    total: int
    queued: int
    created_at: datetime
    finished_at: datetime | None
    by_status: dict[str, int]


class ReplayStore:
    """Creates, steps, shows and cancels replays."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def count(self, wanted: Wanted) -> int:
        """How many deliveries a replay would send."""
        async with self._engine.connect() as connection:
            return await _count(connection, await _parameters(connection, wanted))

    async def create(self, wanted: Wanted) -> int | None:
        """Begin a replay and return its id; None when the endpoint is not enabled. Raises ReplayRunning."""
        try:
            async with self._engine.begin() as connection:
                await connection.execute(KEEP_ENDPOINTS)
                parameters = await _parameters(connection, wanted)
                total = await _count(connection, parameters)
                number: int | None = await connection.scalar(_CREATE, {**parameters, "total": total})
                return number
        except IntegrityError:
            async with self._engine.connect() as connection:
                newest: int = await connection.scalar(_NEWEST_TO, {"endpoint_id": wanted.endpoint_id})
            raise ReplayRunning(newest) from None

    async def get(self, replay_id: int) -> Replay | None:
        """One replay with its progress."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_GET, {"id": replay_id})).mappings().first()
            if row is None:
                return None
            progress = {each.status: each.n for each in await connection.execute(_PROGRESS, {"id": replay_id})}
        shown = Replay.__dataclass_fields__.keys() - {"by_status"}
        return Replay(**{name: row[name] for name in shown}, by_status=progress)

    async def cancel(self, replay_id: int) -> bool:
        """Queue nothing more and put back what has not been sent; False when it had ended."""
        async with self._engine.begin() as connection:
            if await connection.scalar(_CANCEL, {"id": replay_id}) is None:
                return False
        await self.take_back()
        return True

    async def take_back(self) -> int:
        """Put deliveries of cancelled replays back to what they were; returns how many."""
        async with self._engine.begin() as connection:
            return (await connection.execute(_TAKE_BACK)).rowcount

    async def running(self) -> list[int]:
        """Ids of replays that have not ended."""
        async with self._engine.connect() as connection:
            return list((await connection.execute(_RUNNING)).scalars())

    async def step(self, replay_id: int, *, window_max: int = WINDOW_MAX) -> int:
        """Queue as many more as there is room for, or complete the replay; returns how many were queued."""
        async with self._engine.begin() as connection:
            row = (await connection.execute(_LOCK, {"id": replay_id})).mappings().first()
            if row is None:
                return 0
            on_the_way = (await connection.execute(_ON_THE_WAY, {"id": replay_id})).one()
            most = max(window_max - on_the_way.due, 0)
            names = ("id", "endpoint_id", "since", "until", "types", "statuses", "done_id", "last_id")
            parameters = {**{name: row[name] for name in names}, "most": most}
            ids: Sequence[int] = []
            if most and row["done_id"] < row["last_id"]:
                ids = (await connection.execute(_QUEUE, parameters)).scalars().all()
            done_id = row["done_id"] if not most else row["last_id"] if len(ids) < most else max(ids)
            finished = done_id >= row["last_id"] and not ids and not on_the_way.unfinished
            moved = {"id": replay_id, "done_id": done_id, "queued": len(ids), "finished": finished}
            await connection.execute(_ADVANCE, moved)
        return len(ids)


async def _parameters(connection: AsyncConnection, wanted: Wanted) -> dict[str, Any]:
    window = {"endpoint_id": wanted.endpoint_id, "since": wanted.since, "until": wanted.until}
    bounds = (await connection.execute(_BOUNDS, window)).one()
    return {
        **window,
        "types": [_like(pattern) for pattern in wanted.types],
        "statuses": list(wanted.statuses),
        "done_id": bounds.done_id,
        "last_id": bounds.last_id,
    }


async def _count(connection: AsyncConnection, parameters: dict[str, Any]) -> int:
    return await connection.scalar(_COUNT, parameters) or 0


def _like(pattern: str) -> str:
    """`account.*` as LIKE writes it; an underscore of a type's name stands for itself."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped[:-1] + "%" if escaped.endswith(".*") else escaped
