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


async def tell_waiting(engine: AsyncEngine, rows: Sequence[EventRow]) -> None:
    """Set `waiting` of unresolved rows; it stays None, which is unknown, while the database is away."""
    values = {"users": [row.user_id or "" for row in rows], "ids": [row.message_id or "" for row in rows]}
    try:
        async with engine.connect() as connection:
            parked = {tuple(row) for row in await connection.execute(_PARKED, values)}
    except (SQLAlchemyError, OSError):
        return
    for row in rows:
        row.waiting = (row.user_id, row.message_id) in parked
