"""From the outcomes of a batch to the rows of its one transaction: signals numbered, states encoded, leases moved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import msgspec

from schemas.erasure import pseudonym
from services.activation_engine.batch import Announced, Outcome
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import encode
from services.activation_engine.domain.rows import active_days, last_event, plan_rows
from services.activation_engine.domain.signals import ERASED, CandidateSignal, number, to_payload
from services.activation_engine.partition import Held
from services.activation_engine.store import AccountRow, Commit, Lease, LedgerRow, Notice

PAYLOAD_BYTES_MAX = 65_536
# How many (dirty account) rows are made between two chances for the event loop: about five milliseconds of work.
ROWS_PER_STEP = 500

# A row per plan as bytes, of which only a mark is remembered.
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Outward:
    """What of an account may leave in a signal: names of traits, and the template of its link with `{account}`."""

    traits: frozenset[str] = frozenset()
    account_link: str = ""


def distinct(announced: Iterable[Announced], known: Collection[str]) -> tuple[list[Announced], int]:
    """The signals that the ledger does not have, each id once, and how many were dropped."""
    seen = set(known)
    fresh, dropped = [], 0
    for one in announced:
        if one.signal.id in seen:
            dropped += 1
        else:
            seen.add(one.signal.id)
            fresh.append(one)
    return fresh, dropped


def ledger_rows(
    outcome: Outcome, signals: Sequence[Announced], outward: Outward, *, numbered: int = 0
) -> list[LedgerRow]:
    """Number the signals in the account and, after those of the batch that are `numbered` already, in the partition;
    the states must not be encoded before."""
    lease = outcome.partition.lease
    rows = []
    for seq, one in enumerate(signals, lease.out_seq + numbered + 1):
        number(one.state, one.signal)
        payload = None if one.blank else payload_of(one.signal, outward)
        account_id = pseudonym(one.signal.account_id) if one.blank else one.signal.account_id
        trace = None if one.blank else one.traceparent
        told = (one.signal.id, account_id, one.signal.type, payload, one.appended_ms, one.received_ms, trace)
        rows.append(LedgerRow(lease.part, seq, *told))
    return rows


def payload_of(signal: CandidateSignal, outward: Outward) -> bytes:
    """The JSON that is stored and sent for a numbered signal, at most PAYLOAD_BYTES_MAX."""
    payload = msgspec.json.encode(to_payload(signal, traits=outward.traits, account_link=outward.account_link))
    if len(payload) > PAYLOAD_BYTES_MAX:
        # Only traits are unbounded enough to get here; a signal without them is worth more than none.
        payload = msgspec.json.encode(to_payload(signal, account_link=outward.account_link))
    assert len(payload) <= PAYLOAD_BYTES_MAX, f"signal {signal.id} has {len(payload)} bytes"
    return payload


def add_accounts(commit: Commit, outcome: Outcome, dirty: Iterable[Held]) -> None:
    """Add the rows of these accounts; rows for queries only where they differ from what is stored."""
    part, plans = outcome.partition.part, outcome.partition.plans
    for held in dirty:
        state = held.state
        commit.accounts.append(account_row(state, part))
        if state.decided:
            state.decided = False
            rows = plan_rows(state, plans)
            marks = tuple(hash(_encode(row)) for row in rows)
            if marks != held.written:
                changed = zip(rows, marks, strict=True)
                commit.plans.extend((state.account_id, row) for row, mark in changed if mark not in held.written)
                held.written = marks


def account_row(state: AccountState, part: int) -> AccountRow:
    """The row of an account."""
    return AccountRow(
        state.account_id,
        part,
        state.next_check_ms,
        encode(state),
        state.name,
        state.owner,
        last_event(state),
        active_days(state.facts),
    )


def add_erasures(commit: Commit, outcome: Outcome, rows: Iterable[LedgerRow], published_seq: int) -> None:
    """Add what the batch erased. What tells of it names its account, so it is blanked once published."""
    partition = outcome.partition
    commit.erasures += outcome.erasures.values()
    commit.erased_people += outcome.erased_people
    partition.notices |= {row.seq: pseudonym(row.account_id) for row in rows if row.type == ERASED}
    for seq in [seq for seq in partition.notices if seq <= published_seq]:
        commit.announced_erasures.append(Notice(partition.part, seq, partition.notices.pop(seq)))


def next_lease(
    outcome: Outcome,
    *,
    stamp: UUID,
    signals: int,
    published_seq: int,
    redelivered: int,
) -> Lease:
    """The lease as the transaction leaves it."""
    lease = outcome.partition.lease
    counts = {
        "applied": outcome.applied,
        "unchanged": outcome.unchanged,
        "redelivered": redelivered,
        "dead_lettered": len(outcome.dead_letters),
        "late": outcome.late,
    }
    return replace(
        lease,
        stamp=stamp,
        next_offset=outcome.next_offset,
        last_append_ms=outcome.last_append_ms,
        out_seq=lease.out_seq + signals,
        published_seq=max(lease.published_seq, published_seq),
        clock=outcome.clock,
        sweep_after=outcome.sweep_after,
        counts={name: lease.counts.get(name, 0) + count for name, count in counts.items()},
    )
