"""Which of the unresolved events still wait for their account: the topic keeps them all, the database those."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.debugger.rows import EventRow

_PARKED = sa.text(
    "SELECT user_id, message_id FROM ingest.parked_event JOIN"
    " unnest(CAST(:users AS text[]), CAST(:ids AS text[])) AS asked(user_id, message_id) USING (user_id, message_id)"
)
# Below this the resolver has decided.
_DECIDED = sa.text("SELECT partition, next_offset FROM ingest.resolver")


async def tell_waiting(engine: AsyncEngine, rows: Sequence[EventRow]) -> None:
    """Set `waiting` of unresolved rows; it stays None, which is unknown, while the database is away."""
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
