"""What a partition's records must lead to, by folding them one by one: no batches, no caches, no crashes.

The engine is compared with it, by its tests and by the demo; it is how a plan is tried out on recorded events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import decode, encode
from services.activation_engine.domain.erasure import erase, is_erasure
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.signals import CandidateSignal, number
from services.activation_engine.domain.ticking import apply_tick
from services.activation_engine.domain.timers import Hole, PartitionClock, advance, log_time, with_holes
from services.activation_engine.domain.transitions import apply_event


class Tick(NamedTuple):
    """A record without a key; times in milliseconds."""

    append_ms: int
    sent_at_ms: int
    last_event_at_ms: int | None


# A plan set in the stream means that these versions go live at that place.
Record: TypeAlias = Event | Tick | PlanSet


class Oracle:
    """One partition: states by account, the clock, and the signals owed so far, in order and without repeats. `holes`
    are those of the whole log, where the records are but its later part: since when nothing came, earlier ticks may
    have told alone."""

    def __init__(self, plans: PlanSet | None = None) -> None:
        self.plans = plans or PlanSet.of(())
        self.clock = PartitionClock()
        self.holes: Sequence[Hole] | None = None
        self.accounts: dict[str, AccountState] = {}
        self.signals: list[CandidateSignal] = []
        self._owed: set[str] = set()
        # Every next check that an account ever had; those it has no more are skipped.
        self._checks: list[tuple[int, str]] = []

    def take(self, record: Record) -> list[CandidateSignal]:
        """Fold one record; the signals that it owes."""
        before = len(self.signals)
        for _ in self.taking(record):
            pass
        return self.signals[before:]

    def taking(self, record: Record) -> Iterator[None]:
        """Fold one record, with a halt after each account that a tick looks at or a version finds: there may be
        millions, and others may have to be given their turn."""
        if isinstance(record, Event):
            self._event(record)
        elif isinstance(record, PlanSet):
            yield from self._adopt(record)
        else:
            yield from self._tick(record)

    def _event(self, record: Event) -> None:
        record.appended_at_ms = log_time(self.clock, append_ms=record.appended_at_ms, received_ms=record.received_at_ms)
        if is_erasure(record):
            erased = self.accounts.pop(record.account_id, None) or _new(record)
            self._owe(erased, [erase(erased, record)])
            return
        state = self.accounts.get(record.account_id)
        if state is None:
            state = self.accounts[record.account_id] = _new(record)
        known = state.next_check_ms
        try:
            self._owe(state, apply_event(state, record, self.plans, self.clock))
        finally:
            # Whoever is adopted at a record that can never be applied is to be looked at all the same.
            if state.next_check_ms != known:
                self._check(state)

    def ahead(self, account_id: str, records: Iterable[Record]) -> Oracle:
        """One of its accounts as it will be after these records, and what they will owe of it; nothing changes here."""
        alone = Oracle(self.plans)
        alone.clock, alone._owed = self.clock, self._owed
        state = alone.accounts[account_id] = decode(account_id, encode(self.accounts[account_id]))
        alone._check(state)
        for record in records:
            alone.take(record)
        self._owed.difference_update(signal.id for signal in alone.signals)
        return alone

    def _adopt(self, plans: PlanSet) -> Iterator[None]:
        self.plans = plans
        for state in self.accounts.values():
            state.check_by(self.clock.clock_ms or 0)
            self._check(state)
            yield

    def _check(self, state: AccountState) -> None:
        if state.next_check_ms is not None:
            heappush(self._checks, (state.next_check_ms, state.account_id))

    def _tick(self, tick: Tick) -> Iterator[None]:
        self.clock = advance(
            self.clock,
            append_ms=tick.append_ms,
            sent_at_ms=tick.sent_at_ms,
            last_event_at_ms=tick.last_event_at_ms,
        )
        if self.holes is not None:
            self.clock = with_holes(self.clock, self.holes)
        now = self.clock.clock_ms
        if self.clock.holding or now is None:
            return
        # In order of (next check, account).
        due: dict[str, AccountState] = {}
        while self._checks and self._checks[0][0] <= now:
            at, account_id = heappop(self._checks)
            state = self.accounts.get(account_id)
            if state is not None and state.next_check_ms == at:
                due[account_id] = state
            yield
        for state in due.values():
            self._owe(state, apply_tick(state, self.plans, self.clock))
            self._check(state)
            yield

    def _owe(self, state: AccountState, candidates: Iterable[CandidateSignal]) -> None:
        for signal in candidates:
            if signal.id not in self._owed:
                self._owed.add(signal.id)
                number(state, signal)
                self.signals.append(signal)


def _new(event: Event) -> AccountState:
    return AccountState.new(event.account_id, event.appended_at_ms)


def fold_partition(records: Iterable[Record], plans: PlanSet | None = None) -> Oracle:
    """The oracle after all records of a partition, in the order of the log."""
    oracle = Oracle(plans)
    for record in records:
        oracle.take(record)
    return oracle


def expected_ids(records: Iterable[Record], plans: PlanSet | None = None) -> list[str]:
    """The ids of the signals that these records owe, in order."""
    return [signal.id for signal in fold_partition(records, plans).signals]
