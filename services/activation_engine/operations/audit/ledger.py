"""The ledger compared with the signals that the fold owes. Its rows never change, so it needs no snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from services.activation_engine.commit_plan import Outward, payload_of
from services.activation_engine.domain.signals import CandidateSignal
from services.activation_engine.operations.audit.differences import Difference, Differences, Place, difference
from services.activation_engine.operations.audit.pacer import Pacer
from services.activation_engine.operations.audit.stored import Recorded, Stored

ROWS_PER_QUERY = 500


class LedgerCheck:
    """The ledger of one partition. `outward` is what signals may show of an account today."""

    def __init__(self, stored: Stored, part: int, *, outward: Outward, pacer: Pacer) -> None:
        self.compared = 0
        self.found: Differences = {}
        self._stored = stored
        self._part = part
        self._outward = outward
        self._pacer = pacer
        # One byte a number: whether the fold owes that row.
        self._owed = bytearray()

    async def compare(self, owed: Sequence[CandidateSignal]) -> None:
        """These signals are owed: each has to be there as it was sent."""
        for start in range(0, len(owed), ROWS_PER_QUERY):
            some = owed[start : start + ROWS_PER_QUERY]
            rows = {row.id: row for row in await self._stored.signals([signal.id for signal in some])}
            for signal in some:
                self._compare(signal, rows.get(signal.id))
                await self._pacer.rest_if_due()
        self.compared += len(owed)

    def _compare(self, signal: CandidateSignal, row: Recorded | None) -> None:
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
            rows = await self._stored.ledger(self._part, after=after, to=out_seq, limit=ROWS_PER_QUERY)
            for row in rows:
                if row.seq > after + 1:
                    found[Place("", "ledger_gap", str(after + 1))] = difference(f"{after + 1}…{row.seq - 1}", None)
                if not (row.seq < len(self._owed) and self._owed[row.seq]) and not leaves_out(row.account_id):
                    found[Place(row.account_id, "signal_unexpected", row.id)] = difference(None, row.type)
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
