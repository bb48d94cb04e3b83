"""What people read and ask of deliveries: lists, one with its log, a retry by hand, a ping."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.store.intake import Message
from services.notifier.store.locks import KEEP_ENDPOINTS

# The log of a delivery shows its newest attempts.
LOG_ENTRIES_MAX = 200

# Beside the exact times, ids between which they lie: lists follow ids, and stop there instead of at the table's end. A
# delivery's time is that of its transaction, none of which takes ten minutes.
FROM_ID = "notifier.delivery_id_at(CAST(:since AS timestamptz) - interval '10 minutes')"
UNTIL_ID = "notifier.delivery_id_at(CAST(:until AS timestamptz) + interval '10 minutes')"

_COLUMNS = """id, message_id, type, endpoint_id, status, hold_reason, attempts, next_at, lease_until, created_at,
    digest_id, (SELECT account_id FROM notifier.message WHERE message.id = message_id) AS account_id"""
_GET = sa.text(f"SELECT {_COLUMNS} FROM notifier.delivery WHERE id = :id")  # noqa: S608 - a constant
# Its few messages first: joined, they would be looked for along the ids of all deliveries.
_OF_ACCOUNT = "ARRAY(SELECT id FROM notifier.message WHERE account_id = :account_id)"
_LOG = sa.text(
    """SELECT * FROM (
        SELECT at, number, trigger, result, status_code, duration_ms, response, error, late, resolve_ms, connect_ms,
            wait_ms
        FROM notifier.attempt WHERE delivery_id = :id AND at >= :since ORDER BY at DESC LIMIT :most
    ) AS newest ORDER BY at"""
)
# The gate before the delivery: the order in which recording locks them.
_LOCK_GATE = sa.text(
    """SELECT g.endpoint_id FROM notifier.endpoint_gate g JOIN notifier.delivery d USING (endpoint_id)
    WHERE d.id = :id FOR UPDATE OF g"""
)
# What is leased is on the wire: only its outcome may change it. What was erased has no body to send. What had ended
# starts its schedule anew.
_RETRY = sa.text(
    """UPDATE notifier.delivery d SET status = 'pending', hold_reason = NULL, next_at = now(), manual = true,
        priority = 1, replay_id = NULL, replayed_status = NULL,
        failures = CASE WHEN d.status = 'pending' THEN d.failures ELSE 0 END,
        restarted_at = CASE WHEN d.status = 'pending' THEN d.restarted_at ELSE now() END
    FROM notifier.endpoint e, notifier.message m
    WHERE d.id = :id AND d.status <> 'leased' AND e.id = d.endpoint_id AND e.enabled
        AND m.id = d.message_id AND m.body <> ''
    RETURNING d.endpoint_id"""
)
# Who asks for an attempt now may well have mended the endpoint: its breaker lets a probe through.
_PROBE_NOW = sa.text(
    "UPDATE notifier.endpoint_gate SET not_before = now(), probe_until = NULL WHERE endpoint_id = :id AND trips > 0"
)
_STATE = sa.text(
    """SELECT d.status, e.enabled, e.deleted_at, m.body = '' AS erased FROM notifier.delivery d
    JOIN notifier.endpoint e ON e.id = d.endpoint_id JOIN notifier.message m ON m.id = d.message_id WHERE d.id = :id"""
)
# The id of one that was asked for with the same Idempotency-Key may be known still when its body is long gone.
_TEST_MESSAGE = sa.text(
    """INSERT INTO notifier.message AS known (id, type, origin, body, slack_body)
    VALUES (:id, :type, :origin, :body, :slack_body)
    ON CONFLICT (id) DO UPDATE SET type = excluded.type, origin = excluded.origin, body = excluded.body,
        slack_body = excluded.slack_body, created_at = excluded.created_at
    WHERE known.body = ''"""
)
_TEST_DELIVERY = sa.text(
    """INSERT INTO notifier.delivery (message_id, endpoint_id, type, status, next_at)
    SELECT CAST(:id AS text), id, CAST(:type AS text), 'pending', now() FROM notifier.endpoint
    WHERE id = :endpoint_id AND enabled ON CONFLICT (message_id, endpoint_id) DO NOTHING RETURNING id"""
)
_TEST_BEFORE = sa.text("SELECT id, type FROM notifier.delivery WHERE message_id = :id AND endpoint_id = :endpoint_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One signal to one endpoint."""

    id: int
    message_id: str
    type: str
    account_id: str | None
    endpoint_id: str
    status: str
    hold_reason: str | None
    attempts: int
    next_at: datetime | None
    lease_until: datetime | None
    created_at: datetime
    digest_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAttempt:
    """One attempt; `late` when its lease had run out before it was recorded."""

    at: datetime
    number: int
    trigger: str
    result: str
    status_code: int | None
    duration_ms: int
    response: bytes | None
    error: str | None
    late: bool
    resolve_ms: int | None
    connect_ms: int | None
    wait_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """None means any."""

    status: str | None = None
    endpoint_id: str | None = None
    type: str | None = None
    signal_id: str | None = None
    account_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RetryState:
    """What decides whether a delivery may be retried by hand."""

    status: str
    endpoint_enabled: bool
    endpoint_deleted: bool
    erased: bool


class TestDiffers(Exception):
    """A message of the same id and another type was sent to the endpoint before."""


class DeliveryStore:
    """Reads for the API, and the two writes that people ask for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, wanted: DeliveryFilter, *, before: int | None, limit: int) -> list[Delivery]:
        """Newest first, those with a smaller id than `before`."""
        conditions = (
            ("status = :status", wanted.status),
            ("endpoint_id = :endpoint_id", wanted.endpoint_id),
            ("type = :type", wanted.type),
            ("message_id = :signal_id", wanted.signal_id),
            (f"message_id = ANY({_OF_ACCOUNT})", wanted.account_id),
            ("created_at >= :since", wanted.since),
            (f"id >= (SELECT {FROM_ID})", wanted.since),
            ("created_at < :until", wanted.until),
            (f"id < (SELECT {UNTIL_ID})", wanted.until),
            ("id < :before", before),
        )
        asked = [condition for condition, value in conditions if value is not None] or ["true"]
        statement = (
            f"SELECT {_COLUMNS} FROM notifier.delivery WHERE {' AND '.join(asked)} ORDER BY id DESC LIMIT :limit"  # noqa: S608 - constants of ours
        )
        parameters = {**asdict(wanted), "before": before, "limit": limit}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(sa.text(statement), parameters)).mappings()
            return [Delivery(**row) for row in rows]

    async def get(self, delivery_id: int) -> tuple[Delivery, list[LoggedAttempt]] | None:
        """One delivery and its attempts, oldest first."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_GET, {"id": delivery_id})).mappings().first()
            if row is None:
                return None
            delivery = Delivery(**row)
            parameters = {"id": delivery_id, "since": delivery.created_at, "most": LOG_ENTRIES_MAX}
            log = (await connection.execute(_LOG, parameters)).mappings()
            return delivery, [LoggedAttempt(**entry) for entry in log]

    async def retry_state(self, delivery_id: int) -> RetryState | None:
        """What a retry by hand would meet; None without such a delivery."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_STATE, {"id": delivery_id})).first()
        return RetryState(row.status, row.enabled, row.deleted_at is not None, row.erased) if row else None

    async def retry(self, delivery_id: int) -> bool:
        """Make it due now, in place of its next automatic attempt; False while on the wire or its endpoint disabled."""
        async with self._engine.begin() as connection:
            await connection.execute(KEEP_ENDPOINTS)
            await connection.execute(_LOCK_GATE, {"id": delivery_id})
            endpoint_id = await connection.scalar(_RETRY, {"id": delivery_id})
            if endpoint_id is not None:
                await connection.execute(_PROBE_NOW, {"id": endpoint_id})
            return endpoint_id is not None

    async def send_test(self, endpoint_id: str, message: Message, *, slack_body: bytes | None) -> int | None:
        """Owe `message` to one endpoint, whatever it subscribed to; returns the delivery's id, that of an earlier
        request for the same message, or None when the endpoint is disabled. Raises TestDiffers."""
        own = {"id": message.id, "endpoint_id": endpoint_id}
        row = {"type": message.type, "origin": message.origin, "body": message.body, "slack_body": slack_body}
        async with self._engine.connect() as connection:
            await connection.execute(KEEP_ENDPOINTS)
            # Waits for the same request under way, so that what it owes is seen.
            await connection.execute(_TEST_MESSAGE, own | row)
            number: int | None = await connection.scalar(_TEST_DELIVERY, own | {"type": message.type})
            if number is not None:
                await connection.execute(_PROBE_NOW, {"id": endpoint_id})
                await connection.commit()
                return number
            before = (await connection.execute(_TEST_BEFORE, own)).first()
        if before is not None and before.type != message.type:
            raise TestDiffers
        return None if before is None else int(before.id)
