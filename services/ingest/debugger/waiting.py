"""Which events still wait for their account: the topic has all that ever did for a time, the database those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.debugger.rows import EventRow, Filters, parked_row

# Of each partition from the newest on, along its index, and of these again the newest.
_NEWEST = "ORDER BY parked_at DESC, user_id DESC, message_id DESC LIMIT :most"
_BEFORE = (
    "SELECT one.* FROM unnest(CAST(:partitions AS integer[]), CAST(:starts AS bigint[])) AS looked(partition, start)"
    " CROSS JOIN LATERAL (SELECT parked_at, user_id, message_id, e.partition, log_offset, value"
    " FROM ingest.parked_event e WHERE e.partition = looked.partition AND log_offset < looked.start"
)
_LAST = " AND (parked_at, user_id, message_id) < (:at, :user, :id)"
_PARKED = sa.text(
    "SELECT user_id, message_id FROM ingest.parked_event JOIN"
    " unnest(CAST(:users AS text[]), CAST(:ids AS text[])) AS asked(user_id, message_id) USING (user_id, message_id)"
)
# Below this the resolver has decided.
_DECIDED = sa.text("SELECT partition, next_offset FROM ingest.resolver")


class Before(NamedTuple):
    """Events that wait since before `starts`, down to which the topic was looked at from its `end`, and before the last
    that was listed."""

    starts: Mapping[int, int]
    end: Mapping[int, int]
    last: tuple[datetime, str, str] | None = None


async def waiting_before(
    engine: AsyncEngine, before: Before, filters: Filters, *, most: int
) -> tuple[list[EventRow], Before | None]:
    """At most `most` of them, newest first, and where to go on; raises SQLAlchemyError and OSError."""
    if filters.account_id is not None or "\0" in f"{filters.user_id}{filters.message_id}":
        return [], None
    asked: dict[str, Any] = {
        "partitions": list(before.starts),
        "starts": list(before.starts.values()),
        "most": most,
    }
    statement = _BEFORE
    if before.last is not None:
        statement += _LAST
        asked |= zip(("at", "user", "id"), before.last, strict=True)
    for column, wanted in (("user_id", filters.user_id), ("message_id", filters.message_id)):
        if wanted is not None:
            statement += f" AND {column} = :of_{column}"
            asked[f"of_{column}"] = wanted
    async with engine.connect() as connection:
        found = (await connection.execute(sa.text(f"{statement} {_NEWEST}) AS one {_NEWEST}"), asked)).all()
    rows = [
        parked_row(bytes(one.value), at=one.parked_at, partition=one.partition, offset=one.log_offset) for one in found
    ]
    last = found[-1] if len(found) == most else None
    following = None if last is None else before._replace(last=(last.parked_at, last.user_id, last.message_id))
    return [row for row in rows if filters.match(row)], following


async def tell_waiting(engine: AsyncEngine, rows: Sequence[EventRow]) -> None:
    """Set `waiting` of unresolved rows; it stays None, which is unknown, while the database is away."""
    if not rows:
        return
    values = {"users": [row.user_id or "" for row in rows], "ids": [row.message_id or "" for row in rows]}
    try:
        async with engine.connect() as connection:
            # Before what is parked: an event decided in between is told as waiting, not as done.
            decided = {row.partition: row.next_offset for row in await connection.execute(_DECIDED)}
            parked = {tuple(row) for row in await connection.execute(_PARKED, values)}
    except (SQLAlchemyError, OSError):
        return
    for row in rows:
        undecided = row.offset >= decided.get(row.partition, 0)
        row.waiting = undecided or (row.user_id, row.message_id) in parked
