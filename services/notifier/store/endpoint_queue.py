"""What becomes of an endpoint's deliveries when it is enabled or deleted, in steps: there may be a million of them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# Far below the time limit of a statement. No step holds a lock that intake or the recording of outcomes waits for, but
# for those of its rows.
STEP_MAX = 10_000

_CANCELLED = "status = 'cancelled', hold_reason = NULL, next_at = NULL, lease_until = NULL"
_WAITS = "endpoint_id = :id AND status IN ('pending', 'leased', 'held')"
_CANCEL_STEP = sa.text(
    f"""WITH step AS MATERIALIZED (
        SELECT id FROM notifier.delivery WHERE {_WAITS} AND id > :after
        ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE notifier.delivery d SET {_CANCELLED} FROM step WHERE d.id = step.id RETURNING d.id"""  # noqa: S608 - constants
)
_CANCEL_REST = sa.text(f"UPDATE notifier.delivery SET {_CANCELLED} WHERE {_WAITS}")  # noqa: S608 - constants
# Held because of the backlog is what maintenance releases, oldest first and within the cap. The schedule begins now: by
# its age, what was held for four days would be given up at its first failure.
_RELEASE_STEP = sa.text(
    """WITH step AS MATERIALIZED (
        SELECT d.id FROM notifier.delivery d JOIN notifier.endpoint e ON e.id = d.endpoint_id AND e.enabled
        WHERE d.endpoint_id = :id AND d.status = 'held' AND d.hold_reason <> 'digest' AND d.id > :after
        ORDER BY d.id LIMIT :most FOR UPDATE OF d
    )
    UPDATE notifier.delivery d SET hold_reason = 'backlog', failures = 0, restarted_at = now()
    FROM step WHERE d.id = step.id RETURNING d.id"""
)
# While the endpoint was disabled nothing could be sent: those days do not bring the end of what waits nearer.
_RESTART_STEP = sa.text(
    """WITH step AS MATERIALIZED (
        SELECT d.id FROM notifier.delivery d JOIN notifier.endpoint e ON e.id = d.endpoint_id AND NOT e.enabled
        WHERE d.endpoint_id = :id AND d.status = 'pending' AND d.id > :after
        ORDER BY d.id LIMIT :most FOR UPDATE OF d
    )
    UPDATE notifier.delivery d SET restarted_at = now() FROM step WHERE d.id = step.id RETURNING d.id"""
)
_COUNT_HELD = sa.text(
    "SELECT count(*) FROM notifier.delivery WHERE endpoint_id = :id AND status = 'held' AND hold_reason <> 'digest'"
)


async def count_held(engine: AsyncEngine, endpoint_id: str) -> int:
    """How many wait until somebody asks for them."""
    async with engine.connect() as connection:
        return await connection.scalar(_COUNT_HELD, {"id": endpoint_id}) or 0


async def release_held(engine: AsyncEngine, endpoint_id: str) -> None:
    """Let maintenance send what is held, while the endpoint is enabled."""
    await _in_steps(engine, _RELEASE_STEP, endpoint_id)


async def restart_waiting(engine: AsyncEngine, endpoint_id: str) -> None:
    """Give what waits for a disabled endpoint, which is about to be enabled, the whole time until its deadline."""
    await _in_steps(engine, _RESTART_STEP, endpoint_id)


async def cancel_most(engine: AsyncEngine, endpoint_id: str) -> None:
    """Cancel what waits for a disabled endpoint, but for what others have a hand on."""
    await _in_steps(engine, _CANCEL_STEP, endpoint_id)


async def cancel_rest(connection: AsyncConnection, endpoint_id: str) -> None:
    """Cancel what still waits; the transaction holds CHANGE_ENDPOINTS, so that nothing is added."""
    await connection.execute(_CANCEL_REST, {"id": endpoint_id})


async def _in_steps(engine: AsyncEngine, statement: sa.TextClause, endpoint_id: str) -> None:
    after, done = 0, STEP_MAX
    while done >= STEP_MAX:
        async with engine.begin() as connection:
            parameters = {"id": endpoint_id, "after": after, "most": STEP_MAX}
            ids = (await connection.execute(statement, parameters)).scalars().all()
        after, done = max(ids, default=after), len(ids)
