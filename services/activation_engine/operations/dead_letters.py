"""Records that the engine could not apply: listing them, and sending one through the log again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.decoder import Reason
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.refusals import LETTER_ERASED, LETTER_UNKNOWN, Refused

# More of a value is not shown; it is requeued whole.
VALUE_BYTES_SHOWN_MAX = 16_384

_PAGE = """
SELECT id, part, "offset", reason, detail, key, substring(value FOR :bytes) AS value,
    octet_length(value) AS value_bytes, appended_ms, recorded_at, requeued_at, requeued_offset
FROM activation.dead_letter WHERE id < :before {conditions} ORDER BY id DESC LIMIT :limit
"""
_ONE = sa.text(
    "SELECT id, part, reason, key, value, requeued_at, requeued_offset FROM activation.dead_letter WHERE id = :id"
)
_HOME = sa.text("SELECT part FROM activation.account WHERE account_id = :account_id")
_MARK = sa.text(
    "UPDATE activation.dead_letter SET requeued_at = now(), requeued_offset = :offset WHERE id = :id"
    " RETURNING requeued_at, requeued_offset"
)


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A dead letter as listed: `value` holds the first VALUE_BYTES_SHOWN_MAX of `value_bytes` bytes."""

    id: int
    part: int
    offset: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    value_bytes: int | None
    appended_ms: int
    recorded_at: datetime
    requeued_at: datetime | None
    requeued_offset: int | None


@dataclass(frozen=True, slots=True)
class Requeued:
    """Where a letter lies in the log again, and since when; `changed` is False when that was so before."""

    id: int
    part: int
    requeued_at: datetime
    requeued_offset: int
    changed: bool


class DeadLetters:
    """Reads and requeues dead letters."""

    def __init__(self, engine: AsyncEngine, log: EventsLog) -> None:
        self._engine = engine
        self._log = log

    async def page(self, *, part: int | None, reason: str | None, before: int, limit: int) -> list[DeadLetterRow]:
        """At most `limit` letters with ids below `before`, newest first."""
        wanted = {name: value for name, value in (("part", part), ("reason", reason)) if value is not None}
        query = sa.text(_PAGE.format(conditions="".join(f" AND {name} = :{name}" for name in wanted)))
        values = {**wanted, "before": before, "limit": limit, "bytes": VALUE_BYTES_SHOWN_MAX}
        async with self._engine.connect() as connection:
            return [DeadLetterRow(*row) for row in await connection.execute(query, values)]

    async def requeue(self, letter_id: int, *, again: bool) -> Requeued:
        """Append the record as it was, once unless `again`: to its partition, or to that of its account when it was
        refused for being elsewhere. Raises Refused, LogUnreachable.

        It is marked after the log has it: a crash in between may append it twice, which changes nothing more than
        once, and can never mark what was not appended."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_ONE, {"id": letter_id})).one_or_none()
            if row is None:
                raise Refused(*LETTER_UNKNOWN)
            part = row.part
            if row.reason == Reason.WRONG_PARTITION:
                if row.key is None:
                    raise Refused(*LETTER_ERASED)
                home = await connection.scalar(_HOME, {"account_id": row.key.decode()})
                part = part if home is None else home
        if row.requeued_at is not None and not again:
            return Requeued(row.id, part, row.requeued_at, row.requeued_offset, changed=False)
        offset = await self._log.append(part, key=row.key, value=row.value)
        async with self._engine.begin() as connection:
            marked = (await connection.execute(_MARK, {"id": letter_id, "offset": offset})).one()
        return Requeued(row.id, part, marked.requeued_at, marked.requeued_offset, changed=True)
