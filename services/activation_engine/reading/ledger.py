"""The ledger for readers: signals as they were sent, of one account or of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

# What erasure has blanked is no signal any more.
_TIMELINE = sa.text(
    "SELECT seq, payload FROM activation.ledger WHERE account_id = :account_id AND seq > :after"
    " AND payload IS NOT NULL ORDER BY seq LIMIT :limit"
)
# Numbers are gapless per partition and commit in their order, so a place per partition never skips a row that
# commits late. Within an answer partitions take turns; each keeps its own order.
_STREAM = sa.text("""
SELECT lease.part, found.seq, found.payload
FROM activation.partition_lease AS lease
LEFT JOIN unnest(CAST(:parts AS integer[]), CAST(:seqs AS bigint[])) AS place(part, seq) USING (part)
CROSS JOIN LATERAL (
    SELECT seq, payload, row_number() OVER (ORDER BY seq) AS turn FROM activation.ledger
    WHERE part = lease.part AND seq > coalesce(place.seq, 0) AND payload IS NOT NULL ORDER BY seq LIMIT :limit
) AS found
ORDER BY found.turn, lease.part LIMIT :limit
""")
_ENDS = sa.text("SELECT part, out_seq FROM activation.partition_lease")


@dataclass(frozen=True, slots=True)
class SentSignal:
    """One signal by its place; `payload` is the JSON that was sent."""

    part: int
    seq: int
    payload: bytes


class LedgerReads:
    """Reads the ledger."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def timeline(self, account_id: str, *, after: int, limit: int) -> list[tuple[int, bytes]]:
        """At most `limit` signals of the account numbered above `after`, as they were sent, each with its number."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_TIMELINE, {"account_id": account_id, "after": after, "limit": limit})
            return [(row.seq, row.payload) for row in rows]

    async def ends(self) -> dict[int, int]:
        """The number of the newest signal of each partition, 0 where there is none."""
        async with self._engine.connect() as connection:
            return {row.part: row.out_seq for row in await connection.execute(_ENDS)}

    async def stream(self, places: Mapping[int, int], *, limit: int) -> list[SentSignal]:
        """At most `limit` signals above the number that `places` has for their partition (none: from the first)."""
        values = {"parts": list(places), "seqs": list(places.values()), "limit": limit}
        async with self._engine.connect() as connection:
            rows = await connection.execute(_STREAM, values)
            return [SentSignal(row.part, row.seq, row.payload) for row in rows]
