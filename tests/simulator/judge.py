"""What must hold: an observer of every commit while faults last, and a comparison with the plain fold at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec import json

from schemas.erasure import pseudonym
from services.activation_engine.decoder import Record
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import decode, encode
from services.activation_engine.domain.plain_fold import Oracle
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.rows import plan_rows
from services.activation_engine.domain.signals import ERASED, CandidateSignal, to_payload
from services.activation_engine.store import Commit, Lease
from tests.fakes.memory_store import MemoryStore
from tests.fakes.oracle import replay
from tests.simulator.forgetting import Forgotten, check_erased, check_forgotten
from tests.simulator.notifier import IntakeTables
from tests.simulator.violation import require

# A signal: when its record was appended, account, id, payload.
Row: TypeAlias = tuple[int, str, str, bytes]
# The JSON of signals by id, as a plain fold owes them, erased or not.
Payloads: TypeAlias = dict[str, bytes]


class Observer:
    """Sees every commit: nothing that was reached, applied, numbered or published goes backwards but by a failover."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._leases: dict[int, Lease] = {}
        self._reached: dict[tuple[str, str], frozenset[str]] = {}
        # Ids in ledgers that a failover forgot: they may have been published, whatever comes instead of them.
        self.lost: set[str] = set()

    def committed(self, commit: Commit) -> None:
        """A commit was applied."""
        for _, lease in commit.leases:
            known = self._leases.get(lease.part)
            require(known is None or _standing(known) <= _standing(lease), "a lease went backwards:", known, lease)
            ledger = self._store.ledger.get(lease.part, [])
            gapless = [row.seq for row in ledger] == list(range(1, lease.out_seq + 1))
            require(gapless, "the ledger is not gapless:", lease.part, [row.seq for row in ledger], lease.out_seq)
            self._leases[lease.part] = lease
        for erasure in commit.erasures:
            check_erased(self._store, erasure, commit)
            for key in [key for key in self._reached if key[0] == erasure.account_id]:
                del self._reached[key]
        for row in commit.accounts:
            for plan, standing in decode(row.account_id, row.facts).plans.items():
                before = self._reached.get((row.account_id, plan), frozenset())
                require(before <= standing.reached.keys(), "milestones were lost:", row.account_id, before)
                self._reached[row.account_id, plan] = frozenset(standing.reached)

    def rewound(self, before: MemoryStore) -> None:
        """A failover made the store forget its last commits."""
        kept = {row.id for rows in self._store.ledger.values() for row in rows}
        self.lost |= {row.id for rows in before.ledger.values() for row in rows} - kept
        self._leases, self._reached = dict(self._store.leases), {}


def _standing(lease: Lease) -> tuple[int, int, int]:
    return lease.next_offset, lease.out_seq, lease.clock.clock_ms or 0


@dataclass
class _Owed:
    """What a plain fold of a partition's log owes: each signal with its record, what is refused, what is erased."""

    oracle: Oracle
    signals: list[tuple[Record, CandidateSignal]] = field(default_factory=list)
    refused: list[Record] = field(default_factory=list)
    forgotten: Forgotten = field(default_factory=Forgotten)


def check_partition(
    part: int, store: MemoryStore, records: Sequence[Record], plan_of: Callable[[str, int], Plan]
) -> Payloads:
    """Lease, accounts, ledger, dead letters and tombstones of a drained partition are what a plain fold of its log
    gives."""
    lease = store.leases[part]
    require(lease.next_offset == len(records), "not at the end:", part, lease)
    require(lease.stopped is None, "stopped:", part, lease.stopped)
    owed = _Owed(Oracle())
    for record, signals in replay(owed.oracle, records, [one for one in store.adopted if one.part == part], plan_of):
        owed.signals += [(record, signal) for signal in signals or ()]
        if signals is None:
            owed.refused.append(record)
        else:
            owed.forgotten.take(record)
    require(lease.clock == owed.oracle.clock, "clocks differ:", part, lease.clock, owed.oracle.clock)
    _check_ledger(part, store, owed)
    _check_accounts(part, store, owed.oracle)
    _check_counts(part, store, owed, events=sum(record.key is not None for record in records))
    check_forgotten(part, store, owed.forgotten)
    return {one.id: json.encode(to_payload(one)) for _, one in owed.signals}


def _check_ledger(part: int, store: MemoryStore, owed: _Owed) -> None:
    """In order of records and, for each account, of its signals. Which of two accounts that one tick moves comes first
    is not owed: next checks are lower bounds, as good as when an account was last looked at."""
    rows = store.ledger.get(part, [])
    require([row.seq for row in rows] == list(range(1, len(rows) + 1)), "the ledger is not gapless:", part)
    found = _grouped([(row.appended_ms, row.account_id, row.id, row.payload or b"") for row in rows])
    wanted = _grouped([_row(record, one, owed.forgotten) for record, one in owed.signals])
    require(found == wanted, "signals differ:", part, "missing", _less(wanted, found), "extra", _less(found, wanted))


def _row(record: Record, signal: CandidateSignal, forgotten: Forgotten) -> Row:
    """Of an account that was erased since then only number and id are left, also of the signal that told of it."""
    if forgotten.account_since(signal.account_id, record.offset):
        return record.timestamp, pseudonym(signal.account_id), signal.id, b""
    return record.timestamp, signal.account_id, signal.id, json.encode(to_payload(signal))


def _grouped(rows: list[Row]) -> list[Row]:
    """In their order, but account by account where one record moved several."""
    moments = {at_ms: number for number, at_ms in enumerate(dict.fromkeys(row[0] for row in rows))}
    return sorted(rows, key=lambda row: (moments[row[0]], row[1]))


def _check_accounts(part: int, store: MemoryStore, oracle: Oracle) -> None:
    mine = {row.account_id: row for row in store.accounts.values() if row.part == part}
    require(mine.keys() == oracle.accounts.keys(), "accounts differ:", part, mine.keys() ^ oracle.accounts.keys())
    for account_id, row in mine.items():
        found, owed = decode(account_id, row.facts), oracle.accounts[account_id]
        require(_decided(found) == _decided(owed), "a state differs:", account_id, _decided(found), _decided(owed))
        stands = {plan: row for (one, plan), row in store.plans.items() if one == account_id}
        wanted = {row.plan: row for row in plan_rows(owed, oracle.plans)}
        require(stands == wanted, "rows for queries differ:", account_id, stands, wanted)


def _decided(state: AccountState) -> bytes:
    """Everything but when the account is looked at next, and which plan looked first: a sweep also meets an account
    that only a refused record named, which a plain fold looks at when the next version goes live."""
    state.next_check_ms, state.plans = None, dict(sorted(state.plans.items()))
    for known in state.plans.values():
        known.watchful = False
    return encode(state)


def _check_counts(part: int, store: MemoryStore, owed: _Owed, *, events: int) -> None:
    letters = sorted((one.offset, one.key, one.value) for one in store.dead_letters if one.part == part)
    wanted = [(one.offset, one.key, one.value) for one in owed.refused if not owed.forgotten.letter(one)]
    require(letters == wanted, "dead letters differ:", part, letters, wanted)
    counts = store.leases[part].counts
    counted = sum(counts.get(name, 0) for name in ("applied", "unchanged", "dead_lettered"))
    require(counted == events, "records were counted wrongly:", part, counts, events)


def check_delivered(
    store: MemoryStore, tables: IntakeTables, owed: Payloads, lost: set[str], *, failovers: bool
) -> None:
    """The notifier took every signal of the ledger, in its order, as the fold owes it; each once unless its own tables
    were rewound; and nothing else but what a failover made the ledger forget. What was erased may have come late or not
    at all, but that it was erased has come."""
    require(not tables.unreadable, "unreadable signals:", tables.unreadable)
    for part in store.leases:
        rows = {row.id: row for row in store.ledger.get(part, [])}
        taken = [message for on, message in tables.delivered if on == part]
        ids = list(dict.fromkeys(message.id for message in taken))
        due = {row.id for row in rows.values() if row.payload is not None or row.type == ERASED}
        missing, extra = due - set(ids), set(ids) - rows.keys() - lost
        require(not missing, "never delivered:", part, missing)
        require(not extra, "delivered and owed by nobody:", part, extra)
        require(failovers or len(taken) == len(ids), "delivered twice:", part, Counter(one.id for one in taken))
        kept = due - lost
        require([one for one in ids if one in kept] == [one for one in rows if one in kept], "order:", part)
        for message in taken:
            same = message.id in lost or message.body == owed[message.id]
            require(same, "delivered differently:", part, message.id)


def _less(some: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    return sorted(set(some) - set(others))
