"""Letting a stopped partition go on, from where an operator decides: nothing is skipped without being told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.operations.events_log import Bounds, EventsLog
from services.activation_engine.operations.refusals import NOT_STOPPED, PARTITION_CHANGED, PARTITION_UNKNOWN, Refused

log = structlog.get_logger(__name__)

Place: TypeAlias = Literal["earliest", "latest"] | int

_LEASE = sa.text("SELECT stamp, stopped, next_offset FROM activation.partition_lease WHERE part = :part")
# One statement, guarded like every change of a partition: whoever holds the old stamp can change nothing any more.
# Versions that went live at offsets above the new place are live from there. What an erased account left in the log as
# it is now stays unread; later records of a log that begins anew are the account's return, whatever their offsets.
_RESUME = sa.text("""
WITH moved AS (
    UPDATE activation.partition_lease SET stamp = :stamp, owner = NULL, source = :source, next_offset = :next_offset,
        last_append_ms = :last_append_ms, stopped = NULL, updated_at = now()
    WHERE part = :part AND stamp = :known AND stopped = :reason RETURNING part
), rebased AS (
    UPDATE activation.partition_plan SET from_offset = :next_offset
    WHERE part IN (SELECT part FROM moved) AND from_offset > :next_offset
), shortened AS (
    UPDATE activation.tombstone SET erase_offset = CAST(:end_offset AS bigint) - 1
    WHERE part IN (SELECT part FROM moved) AND erase_offset >= :end_offset
)
INSERT INTO activation.partition_resume (part, reason, left_offset, next_offset, resumed_by)
SELECT part, :reason, :left_offset, :next_offset, :by FROM moved RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Resumed:
    """A decision: applied was everything before `left_offset`, the next record to apply is `next_offset`. Records from
    `skipped_from` to before `next_offset` are not applied; `certain` is False when some of them may have been."""

    part: int
    reason: str
    left_offset: int
    next_offset: int
    bounds: Bounds
    skipped_from: int
    certain: bool

    @property
    def skipped_count(self) -> int:
        """How many offsets are skipped."""
        return max(0, self.next_offset - self.skipped_from)


class Resumes:
    """Writes such decisions; the owner of the partition notices by itself."""

    def __init__(self, engine: AsyncEngine, log: EventsLog) -> None:
        self._engine = engine
        self._log = log

    async def resume(self, part: int, *, place: Place, reason: str, by: str) -> Resumed:
        """Let the partition go on from `place`, if it is stopped for `reason`. Raises Refused, LogUnreachable."""
        lease = await self._stopped(part, reason)
        bounds = await self._log.bounds(part)
        decided = _decide(part, lease, reason, place, bounds)
        # What the next claim compares, so that it finds this log, from here on, to be the one that was applied.
        before = decided.next_offset - 1
        append_ms = await self._log.append_time(part, before) if before >= bounds.begin else None
        values = {
            "part": part,
            "reason": reason,
            "known": lease.stamp,
            "stamp": uuid4(),
            "source": self._log.topic,
            "left_offset": decided.left_offset,
            "next_offset": decided.next_offset,
            "end_offset": bounds.end,
            "last_append_ms": append_ms,
            "by": by,
        }
        async with self._engine.begin() as connection:
            if (await connection.execute(_RESUME, values)).one_or_none() is None:
                raise Refused(*PARTITION_CHANGED)
        log.warning("partition_resumed", part=part, reason=reason, by=by, next_offset=decided.next_offset)
        return decided

    async def _stopped(self, part: int, reason: str) -> Any:
        async with self._engine.connect() as connection:
            lease = (await connection.execute(_LEASE, {"part": part})).one_or_none()
        if lease is None:
            raise Refused(*PARTITION_UNKNOWN)
        if lease.stopped is None:
            raise Refused(*NOT_STOPPED)
        if lease.stopped != reason:
            raise Refused("reason_differs", f"It is stopped for `{lease.stopped}`: look again, and decide about that.")
        return lease


def _decide(part: int, lease: Any, reason: str, place: Place, bounds: Bounds) -> Resumed:
    next_offset = {"earliest": bounds.begin, "latest": bounds.end}[place] if isinstance(place, str) else place
    if not bounds.begin <= next_offset <= bounds.end:
        raise Refused(
            "offset_outside_log", f"The log holds offsets {bounds.begin} to {bounds.end}: choose `from` among them."
        )
    # A log that only lost its oldest records, or nothing, continues what was applied; any other begins anew.
    continued = reason in ("records_expired", "rows_refused", "fold_failed")
    return Resumed(
        part,
        reason,
        lease.next_offset,
        next_offset,
        bounds,
        skipped_from=lease.next_offset if continued else bounds.begin,
        certain=reason != "tail_lost",
    )
