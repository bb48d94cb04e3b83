"""Where the audit of a partition begins whose log was cut by retention, and which accounts it has to leave out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from schemas.erasure import account_hash, is_pseudonym
from services.activation_engine.decoder import TickInput, decode_record
from services.activation_engine.domain.encoding import UnknownEncoding, decode
from services.activation_engine.operations.audit.fold import LogIncomplete
from services.activation_engine.operations.audit.pacer import Pacer
from services.activation_engine.operations.audit.snapshot import Snapshot, StoredRow
from services.activation_engine.operations.events_log import EventsLog


@dataclass(frozen=True, slots=True)
class Cut:
    """The fold begins at the first tick that is kept, because only ticks tell the time: at its `offset`, appended at
    `at_ms`. Left out are accounts that enrolled before (`old`), whose first records may be gone, and accounts that were
    ever erased (by hash): what they were announced in an earlier life is not announced again."""

    offset: int
    at_ms: int
    old: frozenset[str]
    erased: frozenset[bytes]

    def leaves_out(self, account_id: str) -> bool:
        """Whether nothing can be said about the account by what is left of the log; a pseudonym stands for
        one that was erased."""
        # The first to be erased may be so while the audit runs.
        if account_id in self.old or is_pseudonym(account_id):
            return True
        return bool(self.erased) and account_hash(account_id) in self.erased


async def first_tick(log: EventsLog, begin: int, place: Snapshot, pacer: Pacer) -> tuple[int, int]:
    """Offset and append time of the first tick from `begin` on. Raises LogIncomplete, LogUnreachable."""
    if begin < place.next_offset:
        async with contextlib.aclosing(log.read(place.part, begin, place.next_offset)) as chunks:
            async for records in chunks:
                for record in records:
                    if isinstance(decode_record(record), TickInput):
                        return record.offset, record.timestamp
                await pacer.rest_if_due()
    raise LogIncomplete(f"the log was cut by its retention, and from {begin} on it has no tick that was applied")


async def cut_at(tick: tuple[int, int], snapshot: Snapshot, pacer: Pacer) -> Cut:
    """The cut at this tick, of a snapshot with its accounts, which is no older than the tick."""
    offset, at_ms = tick
    old = []
    for account_id, row in snapshot.accounts.items():
        # In the very millisecond of the tick it may have been before it.
        if _enrolled_at_ms(account_id, row) <= at_ms:
            old.append(account_id)
        await pacer.rest_if_due()
    return Cut(offset, at_ms, frozenset(old), snapshot.erased)


def _enrolled_at_ms(account_id: str, row: StoredRow) -> int:
    try:
        return decode(account_id, row.facts).enrolled_at_ms
    except UnknownEncoding:
        return 0
