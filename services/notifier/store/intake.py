"""What intake commits: messages, the deliveries they owe, its position, and records that cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas.erasure import account_hash, pseudonym
from services.notifier.domain.digests import WINDOW_SECONDS
from services.notifier.domain.filters import NOTHING, About, Filter
from services.notifier.domain.sequence import Progress
from services.notifier.store.digests import count_in_windows
from services.notifier.store.erasure import ERASED, Erasure, erase
from services.notifier.store.locks import KEEP_ENDPOINTS
from services.notifier.store.notices import add_notices, backlog_full
from services.runtime.crash_points import crash_point

# What is kept of a record that cannot be read, bytes.
DEAD_VALUE_BYTES_MAX = 65_536

_POSITIONS = sa.text(
    "SELECT part, next_offset, last_seq, gaps, ledger_ms FROM notifier.intake WHERE part = ANY(CAST(:parts AS int[]))"
)
_BEGIN = sa.text(
    "INSERT INTO notifier.intake (part, next_offset) VALUES (:part, :next_offset) ON CONFLICT (part) DO NOTHING"
)
_RESET = sa.text(
    "UPDATE notifier.intake SET next_offset = :next_offset, updated_at = now() "
    "WHERE part = :part AND next_offset = :expected"
)
# Compare-and-set: another owner of the partition has moved the row, and then nothing of this batch may be written.
_ADVANCE = sa.text(
    """UPDATE notifier.intake
    SET next_offset = :next_offset, last_seq = :last_seq, gaps = CAST(:gaps AS bigint[]), ledger_ms = :ledger_ms,
        updated_at = now()
    WHERE part = :part AND next_offset = :expected"""
)
_ENDPOINTS = sa.text(
    "SELECT id, types, origins, plans, segments, owners, reasons, format, enabled FROM notifier.endpoint "
    "WHERE deleted_at IS NULL ORDER BY id"
)
_MESSAGES = sa.text(
    """INSERT INTO notifier.message (id, type, account_id, origin, traceparent, body, received_at, occurred_at)
    SELECT id, type, account_id, origin, traceparent, body, to_timestamp(received_ms / 1000.0), occurred_at
    FROM unnest(CAST(:ids AS text[]), CAST(:types AS text[]), CAST(:accounts AS text[]), CAST(:origins AS text[]),
        CAST(:traceparents AS text[]), CAST(:bodies AS bytea[]), CAST(:hashes AS bytea[]), CAST(:seqs AS bigint[]),
        CAST(:received AS bigint[]), CAST(:occurred AS timestamptz[]))
        AS given(id, type, account_id, origin, traceparent, body, account_hash, seq, received_ms, occurred_at)
    WHERE NOT EXISTS (
        SELECT 1 FROM notifier.tombstone t WHERE t.account_hash = given.account_hash AND given.seq < t.seq)
    ON CONFLICT (id) DO NOTHING RETURNING id"""
)
_SLACK_BODIES = sa.text(
    """UPDATE notifier.message m SET slack_body = given.body
    FROM unnest(CAST(:ids AS text[]), CAST(:bodies AS bytea[])) AS given(id, body) WHERE m.id = given.id"""
)
_DELIVERIES = sa.text(
    """INSERT INTO notifier.delivery (message_id, endpoint_id, type, status, hold_reason, next_at)
    SELECT given.message_id, given.endpoint_id, given.type, CASE WHEN given.hold IS NULL THEN 'pending' ELSE 'held' END,
        given.hold, CASE WHEN given.hold IS NULL THEN now() END
    FROM unnest(CAST(:messages AS text[]), CAST(:endpoints AS text[]), CAST(:types AS text[]), CAST(:holds AS text[]))
        AS given(message_id, endpoint_id, type, hold)
    ON CONFLICT (message_id, endpoint_id) DO NOTHING"""
)
_DEAD = sa.text(
    """INSERT INTO notifier.dead_letter (topic, part, record_offset, reason, value)
    VALUES (:topic, :part, :record_offset, :reason, :value) ON CONFLICT DO NOTHING"""
)


@dataclass(frozen=True, slots=True)
class Message:
    """A signal to deliver: `body` is sent as it is, byte for byte; `seq` is the ledger's number, if it has one;
    `received_ms` is when ingest received what caused it, `occurred_at` the time that the signal says.

    `about` is only compared with filters, and not stored.
    """

    id: str
    type: str
    account_id: str | None
    origin: str
    traceparent: str | None
    body: bytes
    seq: int | None = None
    about: About = NOTHING
    received_ms: int | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """What intake needs to know of an endpoint."""

    id: str
    filter: Filter
    enabled: bool
    format: str = "standard"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition's intake stands."""

    next_offset: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that can never be delivered, and why."""

    part: int
    record_offset: int
    reason: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Owed:
    """One delivery to insert; `hold` is None, `disabled`, `backlog` or `digest`, `slack` whether it is read there."""

    message: Message
    endpoint_id: str
    hold: str | None
    slack: bool = False


class PositionLost(Exception):
    """Another process owns the partition: forget it and claim it again if it is still assigned."""


class IntakeStore:
    """Positions and one transaction per polled batch."""

    def __init__(self, engine: AsyncEngine, *, topic: str, digest_seconds: float = WINDOW_SECONDS) -> None:
        self._engine = engine
        self._topic = topic
        self._digest_seconds = digest_seconds

    async def positions(self, beginnings: Mapping[int, int]) -> dict[int, Position]:
        """The stored position of each partition in `beginnings`; one never seen starts at its beginning."""
        async with self._engine.begin() as connection:
            for part, beginning in beginnings.items():
                await connection.execute(_BEGIN, {"part": part, "next_offset": beginning})
            rows = (await connection.execute(_POSITIONS, {"parts": list(beginnings)})).all()
        return {
            row.part: Position(row.next_offset, Progress(row.last_seq, _pairs(row.gaps), row.ledger_ms)) for row in rows
        }

    async def reset(self, part: int, *, expected: int, next_offset: int) -> None:
        """Move a position that the topic no longer has; PositionLost if somebody else moved it."""
        async with self._engine.begin() as connection:
            parameters = {"part": part, "expected": expected, "next_offset": next_offset}
            if (await connection.execute(_RESET, parameters)).rowcount != 1:
                raise PositionLost

    def batch(self) -> IntakeBatch:
        """A transaction to fill; use it as an async context manager."""
        return IntakeBatch(self._engine, self._topic, digest_seconds=self._digest_seconds)


class IntakeBatch:
    """One transaction of intake; it commits when its block ends without an error."""

    def __init__(self, engine: AsyncEngine, topic: str, *, digest_seconds: float) -> None:
        self._digest_seconds = digest_seconds
        self._begin = engine.begin()
        self._topic = topic
        self._connection: AsyncConnection

    async def __aenter__(self) -> IntakeBatch:
        self._connection = await self._begin.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        if failure[0] is None:
            crash_point("notifier.intake_before_commit")
        await self._begin.__aexit__(*failure)
        if failure[0] is None:
            crash_point("notifier.intake_after_commit")

    async def advance(self, before: Mapping[int, Position], after: Mapping[int, Position]) -> None:
        """Move the positions; PositionLost when one is not where this process left it."""
        for part in sorted(after):
            moved = after[part]
            parameters = {
                "part": part,
                "expected": before[part].next_offset,
                "next_offset": moved.next_offset,
                "last_seq": moved.progress.last,
                "ledger_ms": moved.progress.ledger_ms,
                "gaps": [number for gap in moved.progress.gaps for number in gap],
            }
            if (await self._connection.execute(_ADVANCE, parameters)).rowcount != 1:
                raise PositionLost

    async def subscribers(self) -> list[Subscriber]:
        """All endpoints; none is switched or deleted before this transaction has ended."""
        await self._connection.execute(KEEP_ENDPOINTS)
        rows = (await self._connection.execute(_ENDPOINTS)).all()
        return [Subscriber(row.id, _filter(row), row.enabled, row.format) for row in rows]

    async def add_messages(self, messages: Sequence[Message]) -> set[str]:
        """Forget the accounts of which these tell that they were erased, then insert; returns the ids that were new. An
        id known already is a repeat, whatever its number; a signal numbered before its account's erasure is dropped."""
        erasures = [
            Erasure(one.account_id, one.seq or 0, one.id) for one in messages if one.account_id and one.type == ERASED
        ]
        if erasures:
            await erase(self._connection, erasures)
        parameters = {
            "ids": [message.id for message in messages],
            "types": [message.type for message in messages],
            "accounts": [_account_kept(message) for message in messages],
            "origins": [message.origin for message in messages],
            "traceparents": [message.traceparent for message in messages],
            "bodies": [message.body for message in messages],
            "hashes": [_account_hash(message) for message in messages],
            "seqs": [message.seq for message in messages],
            "received": [message.received_ms for message in messages],
            "occurred": [message.occurred_at for message in messages],
        }
        return set((await self._connection.execute(_MESSAGES, parameters)).scalars())

    async def add_deliveries(self, owed: Sequence[Owed]) -> None:
        """Insert what is owed, due now unless held."""
        parameters = {
            "messages": [delivery.message.id for delivery in owed],
            "endpoints": [delivery.endpoint_id for delivery in owed],
            "types": [delivery.message.type for delivery in owed],
            "holds": [delivery.hold for delivery in owed],
        }
        await self._connection.execute(_DELIVERIES, parameters)

    async def tell_of_full_backlogs(self, endpoint_ids: Iterable[str], *, waiting_max: int) -> None:
        """Owe the notice that an endpoint's further deliveries are held; after `subscribers`."""
        await add_notices(self._connection, [backlog_full(each, waiting_max) for each in sorted(endpoint_ids)])

    async def counted_before(self, counts: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        """How many signals each (endpoint, type) had in its window before these, which are added."""
        return await count_in_windows(self._connection, counts, window_seconds=self._digest_seconds)

    async def add_slack_bodies(self, bodies: Mapping[str, bytes]) -> None:
        """Keep what endpoints of the format `slack` get, by message id."""
        if bodies:
            await self._connection.execute(_SLACK_BODIES, {"ids": list(bodies), "bodies": list(bodies.values())})

    async def add_dead_letters(self, poison: Sequence[Poison]) -> None:
        """Keep what cannot be read for a person to look at."""
        for record in poison:
            parameters = {
                "topic": self._topic,
                "part": record.part,
                "record_offset": record.record_offset,
                "reason": record.reason,
                "value": record.value[:DEAD_VALUE_BYTES_MAX],
            }
            await self._connection.execute(_DEAD, parameters)


def _filter(row: sa.Row[Any]) -> Filter:
    chosen = (row.types, row.origins, row.plans, row.segments, row.owners, row.reasons)
    return Filter(*(tuple(each) for each in chosen))


def _account_kept(message: Message) -> str | None:
    erased = message.account_id is not None and message.type == ERASED
    return pseudonym(message.account_id or "") if erased else message.account_id


def _account_hash(message: Message) -> bytes | None:
    """By which a tombstone is found; none for what tells of an erasure itself."""
    return None if message.account_id is None or message.type == ERASED else account_hash(message.account_id)


def _pairs(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
