"""Counts for gauges and caps, release of what was held for the backlog, partitions and retention."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.store.erasure import blank_notices

# Rows in one statement: a message may be owed to a thousand endpoints, and what takes too long is tried again for ever.
_DELETED_AT_ONCE_MAX = 200

_WAITING = sa.text(
    """SELECT endpoint_id, count(*) AS waiting, extract(epoch FROM now() - min(next_at))::float8 AS lag_seconds
    FROM notifier.delivery WHERE status = 'pending' GROUP BY endpoint_id"""
)
_HELD = sa.text("SELECT count(*) FROM notifier.delivery WHERE status = 'held'")
# One look into the index per endpoint, however much is held.
_BACKLOG_HELD = sa.text(
    """SELECT e.id FROM notifier.endpoint e CROSS JOIN LATERAL (
        SELECT 1 FROM notifier.delivery d
        WHERE d.status = 'held' AND d.hold_reason = 'backlog' AND d.endpoint_id = e.id LIMIT 1
    ) AS held WHERE e.enabled"""
)
_ENABLED = sa.text("SELECT enabled, count(*) AS n FROM notifier.endpoint WHERE deleted_at IS NULL GROUP BY enabled")
_TROUBLED = sa.text(
    """SELECT count(*) FILTER (WHERE g.failing_since IS NOT NULL) AS failing,
        count(*) FILTER (WHERE g.trips > 0) AS broken
    FROM notifier.endpoint e JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id WHERE e.enabled"""
)
_OPEN = sa.text(
    """SELECT e.id FROM notifier.endpoint e JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id
    WHERE e.enabled AND g.not_before <= now() AND notifier.window_open(e.delivery_window, now())"""
)
_READ_AT = sa.text("SELECT coalesce(extract(epoch FROM max(updated_at)), 0)::float8 FROM notifier.intake")
# Their time begins now: of what waited for days there would else be little left to try it in.
_RELEASE = sa.text(
    """UPDATE notifier.delivery SET status = 'pending', hold_reason = NULL, next_at = now(), restarted_at = now()
    WHERE id IN (SELECT id FROM notifier.delivery
        WHERE endpoint_id = :endpoint_id AND status = 'held' AND hold_reason = 'backlog'
        ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id"""
)
_CREATE_PARTITIONS = sa.text("SELECT notifier.create_attempt_partitions(:days)")
_DROP_PARTITIONS = sa.text("SELECT notifier.drop_attempt_partitions(:days)")
_DROP_BODIES = sa.text(
    """WITH old AS (
        SELECT id FROM notifier.message WHERE body <> '' AND created_at < now() - make_interval(days => :days)
        ORDER BY created_at LIMIT :most FOR UPDATE SKIP LOCKED
    ), deliveries AS (
        DELETE FROM notifier.delivery USING old WHERE delivery.message_id = old.id
    )
    UPDATE notifier.message SET body = '', slack_body = NULL, traceparent = NULL FROM old
    WHERE message.id = old.id RETURNING message.id"""
)
# Deliveries of what was erased went without a body before, so they end here. No id goes before its body.
_DROP_IDS = sa.text(
    """WITH old AS (
        SELECT id FROM notifier.message WHERE body = '' AND created_at < now() - make_interval(days => :days)
        LIMIT :most FOR UPDATE SKIP LOCKED
    ), deliveries AS (
        DELETE FROM notifier.delivery USING old WHERE delivery.message_id = old.id
    )
    DELETE FROM notifier.message USING old WHERE message.id = old.id RETURNING message.id"""
)
# By then every delivery that it took up is gone: none of them is younger than it.
_DROP_REPLAYS = sa.text(
    """DELETE FROM notifier.replay WHERE id IN (SELECT id FROM notifier.replay
        WHERE finished_at < now() - make_interval(days => :days) LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id"""
)
_DROP_LETTERS = sa.text(
    """DELETE FROM notifier.dead_letter WHERE id IN (SELECT id FROM notifier.dead_letter
        WHERE created_at < now() - make_interval(days => :days) LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id"""
)
# Nothing is owed to a deleted endpoint any more, so what it has here only becomes less.
_DROP_ENDPOINTS = sa.text(
    """DELETE FROM notifier.endpoint WHERE id IN (SELECT e.id FROM notifier.endpoint e
        WHERE e.deleted_at < now() - make_interval(days => :days)
            AND NOT EXISTS (SELECT FROM notifier.delivery d WHERE d.endpoint_id = e.id)
            AND NOT EXISTS (SELECT FROM notifier.replay r WHERE r.endpoint_id = e.id)
        LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id"""
)
_DROP_ACCESSES = sa.text(
    """DELETE FROM notifier.secret_access WHERE id IN (SELECT id FROM notifier.secret_access
        WHERE at < now() - make_interval(days => :days) LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id"""
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What waits by endpoint, endpoints by state, how late the oldest due delivery is, whose backlog is held, and when
    intake last moved (seconds since 1970)."""

    waiting: dict[str, int] = field(default_factory=dict)
    enabled: int = 0
    disabled: int = 0
    due_lag_seconds: float = 0.0
    backlog_held: tuple[str, ...] = ()
    failing: int = 0
    broken: int = 0
    read_at: float = 0.0


class UpkeepStore:
    """Statements that run every few seconds or hours, none of them on the way of a delivery."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def standing(self) -> Standing:
        """Counts over the index of waiting deliveries."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_WAITING)).all()
            endpoints = {row.enabled: row.n for row in await connection.execute(_ENABLED)}
            troubled = (await connection.execute(_TROUBLED)).one()
            sendable = set((await connection.execute(_OPEN)).scalars())
            backlog = tuple((await connection.execute(_BACKLOG_HELD)).scalars())
            read_at = await connection.scalar(_READ_AT) or 0.0
        lags = [row.lag_seconds or 0.0 for row in rows if row.endpoint_id in sendable]
        return Standing(
            {row.endpoint_id: row.waiting for row in rows},
            endpoints.get(True, 0),
            endpoints.get(False, 0),
            max([0.0, *lags]),
            backlog,
            troubled.failing,
            troubled.broken,
            read_at,
        )

    async def held(self) -> int:
        """How many are held; reads them all in their index, so every half a minute at most."""
        async with self._engine.connect() as connection:
            return await connection.scalar(_HELD) or 0

    async def release_held(self, endpoint_id: str, *, most: int) -> int:
        """Make the oldest held deliveries due; only those held for the backlog."""
        async with self._engine.begin() as connection:
            return len((await connection.execute(_RELEASE, {"endpoint_id": endpoint_id, "most": most})).all())

    async def blank_notices(self) -> int:
        """Blank what told of erasures and is owed to nobody any more; returns how many."""
        async with self._engine.begin() as connection:
            return await blank_notices(connection)

    async def keep_partitions(self, *, days_ahead: int, days_kept: int) -> None:
        """Create the attempt log's partitions ahead of time and drop those past retention."""
        async with self._engine.begin() as connection:
            await connection.execute(_CREATE_PARTITIONS, {"days": days_ahead})
        async with self._engine.begin() as connection:
            await connection.execute(_DROP_PARTITIONS, {"days": days_kept})

    async def drop_bodies(self, *, days_kept: int) -> int:
        """Blank a bounded number of messages past retention and delete their deliveries; returns how many.

        Their ids stay: what is read from the topic again is still known.
        """
        return await self._delete(_DROP_BODIES, days_kept)

    async def drop_ids(self, *, days_kept: int) -> int:
        """Delete a bounded number of messages whose ids nobody can repeat any more; returns how many."""
        return await self._delete(_DROP_IDS, days_kept)

    async def drop_replays(self, *, days_kept: int) -> int:
        """Delete a bounded number of replays that ended so long ago; returns how many."""
        return await self._delete(_DROP_REPLAYS, days_kept)

    async def drop_letters(self, *, days_kept: int) -> int:
        """Delete a bounded number of records that could not be read, as old as this; returns how many."""
        return await self._delete(_DROP_LETTERS, days_kept)

    async def drop_endpoints(self, *, days_kept: int) -> int:
        """Delete a bounded number of endpoints that somebody deleted so long ago, unless deliveries or replays of
        theirs can still be asked for; returns how many."""
        return await self._delete(_DROP_ENDPOINTS, days_kept)

    async def drop_accesses(self, *, days_kept: int) -> int:
        """Delete a bounded number of rows, as old as this, of who was shown a secret; returns how many."""
        return await self._delete(_DROP_ACCESSES, days_kept)

    async def _delete(self, statement: sa.TextClause, days_kept: int) -> int:
        async with self._engine.begin() as connection:
            parameters = {"days": days_kept, "most": _DELETED_AT_ONCE_MAX}
            return len((await connection.execute(statement, parameters)).all())
