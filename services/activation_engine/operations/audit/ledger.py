"""The ledger compared with the signals that the fold owes. Its rows never change, so it needs no snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.commit_plan import Outward, payload_of
from services.activation_engine.domain.signals import CandidateSignal
from services.activation_engine.operations.audit.differences import Difference, Differences, Place, difference
from services.activation_engine.operations.audit.pacer import Pacer

_ROWS_PER_QUERY = 500

_BY_ID = sa.text(
    "SELECT id, seq, part, account_id, type, payload FROM activation.ledger WHERE id = ANY(CAST(:ids AS uuid[]))"
)
_BY_SEQ = sa.text(
    "SELECT seq, id, account_id, type FROM activation.ledger WHERE part = :part AND seq > :after AND seq <= :to"
    " ORDER BY seq LIMIT :limit"
)


class LedgerCheck:
    """The ledger of one partition. `outward` is what signals may show of an account today."""

    def __init__(self, engine: AsyncEngine, part: int, *, outward: Outward, pacer: Pacer) -> None:
        self.compared = 0
        self.found: Differences = {}
        self._engine = engine
        self._part = part
        self._outward = outward
        self._pacer = pacer
        # One byte a number: whether the fold owes that row.
        self._owed = bytearray()

    async def compare(self, owed: Sequence[CandidateSignal]) -> None:
        """These signals are owed: each has to be there as it was sent."""
        for start in range(0, len(owed), _ROWS_PER_QUERY):
            some = owed[start : start + _ROWS_PER_QUERY]
            async with self._engine.connect() as connection:
                rows = await connection.execute(_BY_ID, {"ids": [UUID(signal.id) for signal in some]})
                stored = {str(row.id): row for row in rows}
            for signal in some:
                self._compare(signal, stored.get(signal.id))
                await self._pacer.rest_if_due()
        self.compared += len(owed)

    def _compare(self, signal: CandidateSignal, row: Any) -> None:
        if row is None or row.part != self._part:
            place = Place(signal.account_id, "signal_missing", signal.id)
            self.found[place] = difference({"type": signal.type, "summary": signal.summary}, None)
            return
        self._owed.extend(bytes(max(0, row.seq + 1 - len(self._owed))))
        self._owed[row.seq] = 1
        # Erasure blanks what was sent and keeps its place.
        if row.payload:
            changed = _payload_difference(payload_of(signal, self._outward), row.payload)
            if changed is not None:
                self.found[Place(signal.account_id, "signal_changed", signal.id)] = changed

    async def unowed(self, out_seq: int, *, leaves_out: Callable[[str], bool]) -> Differences:
        """Numbers up to `out_seq` that have no row, and rows that no record accounts for, unless they are of an account
        that `leaves_out` names."""
        found: Differences = {}
        after = 0
        while after < out_seq:
            page = {"part": self._part, "after": after, "to": out_seq, "limit": _ROWS_PER_QUERY}
            async with self._engine.connect() as connection:
                rows = (await connection.execute(_BY_SEQ, page)).all()
            for row in rows:
                if row.seq > after + 1:
                    found[Place("", "ledger_gap", str(after + 1))] = difference(f"{after + 1}…{row.seq - 1}", None)
                if not (row.seq < len(self._owed) and self._owed[row.seq]) and not leaves_out(row.account_id):
                    found[Place(row.account_id, "signal_unexpected", str(row.id))] = difference(None, row.type)
                after = row.seq
                await self._pacer.rest_if_due()
            if not rows:
                found[Place("", "ledger_gap", str(after + 1))] = difference(f"{after + 1}…{out_seq}", None)
                break
        return found


def _payload_difference(expected: bytes, found: bytes) -> Difference | None:
    """None when they say the same. Which traits and links go out is a setting, which may have been another then."""
    if expected == found:
        return None
    try:
        wanted, there = _without_settings(expected), _without_settings(found)
    except (msgspec.MsgspecError, TypeError, KeyError, AttributeError):
        return difference(expected.decode(), found.decode(errors="replace"))
    changed = [name for name in wanted | there if wanted.get(name) != there.get(name)]
    if not changed:
        return None
    return difference({name: wanted.get(name) for name in changed}, {name: there.get(name) for name in changed})


def _without_settings(payload: bytes) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(payload, type=dict[str, Any])
    document.pop("links", None)
    document["account"].pop("traits", None)
    return document
