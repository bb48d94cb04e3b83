"""Which deliveries wait for a digest, and the one transaction that puts them into it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifier.domain.digests import MEMBERS_MAX, digest_of
from services.notifier.store.locks import KEEP_ENDPOINTS

# Rows in order, so that two intakes lock them in the same one.
_COUNT = sa.text(
    """INSERT INTO notifier.digest_window AS known (endpoint_id, type, opened_at, signals)
    SELECT endpoint_id, type, now(), signals
    FROM unnest(CAST(:endpoints AS text[]), CAST(:types AS text[]), CAST(:counts AS int[]))
        AS given(endpoint_id, type, signals)
    ORDER BY endpoint_id, type
    ON CONFLICT (endpoint_id, type) DO UPDATE SET
        opened_at = CASE WHEN known.opened_at < now() - make_interval(secs => :seconds) THEN now()
            ELSE known.opened_at END,
        signals = excluded.signals + CASE WHEN known.opened_at < now() - make_interval(secs => :seconds) THEN 0
            ELSE known.signals END
    RETURNING endpoint_id, type, signals"""
)
# The window has ended, or another one has begun since the oldest came.
_DUE = sa.text(
    """SELECT d.endpoint_id, d.type FROM notifier.delivery d
    JOIN notifier.endpoint e ON e.id = d.endpoint_id AND e.enabled
    JOIN notifier.digest_window w ON w.endpoint_id = d.endpoint_id AND w.type = d.type
    WHERE d.hold_reason = 'digest' GROUP BY d.endpoint_id, d.type, w.opened_at
    HAVING w.opened_at <= now() - make_interval(secs => :seconds) OR min(d.created_at) < w.opened_at"""
)
_MEMBERS = sa.text(
    """SELECT d.id, m.body FROM notifier.delivery d JOIN notifier.message m ON m.id = d.message_id
    WHERE d.endpoint_id = :endpoint_id AND d.type = :type AND d.hold_reason = 'digest' AND m.body <> ''
    ORDER BY d.id LIMIT :most FOR UPDATE OF d SKIP LOCKED"""
)
_MESSAGE = sa.text(
    """INSERT INTO notifier.message (id, type, origin, body, slack_body)
    VALUES (:id, :type, 'live', :body, :slack_body) ON CONFLICT (id) DO NOTHING"""
)
_DELIVERY = sa.text(
    """INSERT INTO notifier.delivery (message_id, endpoint_id, type, status, next_at)
    SELECT CAST(:id AS text), id, CAST(:type AS text), 'pending', now() FROM notifier.endpoint
    WHERE id = :endpoint_id AND enabled RETURNING id"""
)
_PUT_IN = sa.text(
    """UPDATE notifier.delivery SET status = 'digested', hold_reason = NULL, digest_id = :digest_id
    WHERE id = ANY(CAST(:ids AS bigint[]))"""
)
_DIGESTS_OF = sa.text(
    """SELECT DISTINCT digest_id FROM notifier.delivery
    WHERE message_id = ANY(CAST(:ids AS text[])) AND digest_id IS NOT NULL"""
)
_WITHDRAW = sa.text(
    """UPDATE notifier.delivery SET status = 'cancelled', hold_reason = NULL, next_at = NULL, lease_until = NULL
    WHERE message_id = ANY(CAST(:digests AS text[])) AND status IN ('pending', 'leased', 'held') RETURNING message_id"""
)
# One that was retried by hand goes its own way since.
_TAKE_OUT = sa.text(
    """UPDATE notifier.delivery SET status = 'held', hold_reason = 'digest', digest_id = NULL
    WHERE digest_id = ANY(CAST(:digests AS text[])) AND status = 'digested'
        AND NOT message_id = ANY(CAST(:ids AS text[]))"""
)
_BLANK = sa.text(
    """UPDATE notifier.message SET body = '', slack_body = NULL, traceparent = NULL
    WHERE id = ANY(CAST(:digests AS text[]))"""
)


class DigestStore:
    """Makes digests out of what was held for them."""

    def __init__(self, engine: AsyncEngine, *, window_seconds: float) -> None:
        self._engine = engine
        self._window_seconds = window_seconds

    async def make_due(self) -> int:
        """One digest for each endpoint and type whose window has ended; returns how many were made."""
        async with self._engine.connect() as connection:
            due = (await connection.execute(_DUE, {"seconds": self._window_seconds})).all()
        return sum([await self._make(row.endpoint_id, row.type) for row in due])

    async def _make(self, endpoint_id: str, signal_type: str) -> bool:
        own = {"endpoint_id": endpoint_id, "type": signal_type}
        async with self._engine.begin() as connection:
            await connection.execute(KEEP_ENDPOINTS)
            members = (await connection.execute(_MEMBERS, own | {"most": MEMBERS_MAX})).all()
            if not members:
                return False
            signals = [msgspec.json.decode(bytes(member.body)) for member in members]
            timestamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            digest = digest_of(endpoint_id, signal_type, signals, timestamp=timestamp)
            row = {"id": digest.id, "body": digest.body, "slack_body": digest.slack_body}
            await connection.execute(_MESSAGE, {"type": signal_type, **row})
            if await connection.scalar(_DELIVERY, own | {"id": digest.id}) is None:
                await connection.rollback()
                return False
            await connection.execute(_PUT_IN, {"digest_id": digest.id, "ids": [member.id for member in members]})
            return True


async def count_in_windows(
    connection: AsyncConnection, counts: Mapping[tuple[str, str], int], *, window_seconds: float
) -> dict[tuple[str, str], int]:
    """Add signals by (endpoint, type) to the open windows; how many each had before these."""
    parameters = {
        "endpoints": [endpoint_id for endpoint_id, _ in counts],
        "types": [signal_type for _, signal_type in counts],
        "counts": list(counts.values()),
        "seconds": window_seconds,
    }
    rows = await connection.execute(_COUNT, parameters)
    return {(row.endpoint_id, row.type): row.signals - counts[row.endpoint_id, row.type] for row in rows}


async def forget_in_digests(connection: AsyncConnection, message_ids: list[str]) -> list[str]:
    """Blank every digest that tells of these messages; what one that was not sent yet held beside them waits for the
    next. Returns the digests' ids."""
    digests = list((await connection.execute(_DIGESTS_OF, {"ids": message_ids})).scalars())
    if digests:
        unsent = list((await connection.execute(_WITHDRAW, {"digests": digests})).scalars())
        await connection.execute(_TAKE_OUT, {"digests": unsent, "ids": message_ids})
        await connection.execute(_BLANK, {"digests": digests})
    return digests
