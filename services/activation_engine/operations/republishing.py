"""Sending signals again: an operator's wish is a waiting job, which the relay of the partition's owner fulfils."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.operations.jobs import Job, JobStore
from services.activation_engine.operations.refusals import PARTITION_UNKNOWN, Refused

REPUBLISH = "republish"

_OUT_SEQ = sa.text("SELECT out_seq FROM activation.partition_lease WHERE part = :part")


class Republishing:
    """Notes wishes."""

    def __init__(self, engine: AsyncEngine, jobs: JobStore) -> None:
        self._engine = engine
        self._jobs = jobs

    async def wish(self, part: int, *, from_seq: int, to_seq: int | None, by: str) -> Job:
        """A job to send the partition's signals from `from_seq` to `to_seq`, or the newest, again. Raises Refused."""
        async with self._engine.connect() as connection:
            out_seq = await connection.scalar(_OUT_SEQ, {"part": part})
        if out_seq is None:
            raise Refused(*PARTITION_UNKNOWN)
        last = out_seq if to_seq is None else to_seq
        if not 1 <= from_seq <= last <= out_seq:
            there = (
                f"signals are numbered 1 to {out_seq}: choose among them"
                if out_seq
                else "first signal is still to come"
            )
            raise Refused("range_outside_ledger", f"The partition's {there}.")
        numbers = {"from_seq": from_seq, "to_seq": last}
        return await self._jobs.create(
            REPUBLISH, state="waiting", part=part, arguments=numbers, total=last - from_seq + 1, by=by
        )
