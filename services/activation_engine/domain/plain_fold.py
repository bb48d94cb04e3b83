"""What a partition's records must lead to, by folding them one by one: no batches, no caches, no crashes.

The engine is compared with it, by its tests and by the demo; it is how a plan is tried out on recorded events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.erasure import erase, is_erasure
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.signals import CandidateSignal, number
from services.activation_engine.domain.ticking import apply_tick
from services.activation_engine.domain.timers import PartitionClock, advance
from services.activation_engine.domain.transitions import apply_event


class Tick(NamedTuple):
    """A record without a key; times in milliseconds."""

    append_ms: int
    sent_at_ms: int
    last_event_at_ms: int | None


# A plan set in the stream means that these versions go live at that place.
Record: TypeAlias = Event | Tick | PlanSet


class Oracle:
    """One partition: states by account, the clock, and the signals owed so far, in order and without repeats."""

    def __init__(self, plans: PlanSet | None = None) -> None:
        self.plans = plans or PlanSet.of(())
        self.clock = PartitionClock()
        self.accounts: dict[str, AccountState] = {}
        self.signals: list[CandidateSignal] = []
        self._owed: set[str] = set()

    def take(self, record: Record) -> list[CandidateSignal]:
        """Fold one record; the signals that it owes."""
        before = len(self.signals)
        if isinstance(record, PlanSet):
            self._adopt(record)
        elif isinstance(record, Tick):
            self._tick(record)
        elif is_erasure(record):
            erased = self.accounts.pop(record.account_id, None) or _new(record)
            self._owe(erased, [erase(erased, record)])
        else:
            state = self.accounts.get(record.account_id)
            if state is None:
                state = self.accounts[record.account_id] = _new(record)
            self._owe(state, apply_event(state, record, self.plans, self.clock))
        return self.signals[before:]

    def _adopt(self, plans: PlanSet) -> None:
        self.plans = plans
        for state in self.accounts.values():
            state.check_by(self.clock.clock_ms or 0)

    def _tick(self, tick: Tick) -> None:
        self.clock = advance(
            self.clock,
            append_ms=tick.append_ms,
            sent_at_ms=tick.sent_at_ms,
            last_event_at_ms=tick.last_event_at_ms,
        )
        now = self.clock.clock_ms
        if self.clock.holding or now is None:
            return
        checks = ((state.next_check_ms, state.account_id) for state in self.accounts.values())
        for _, account_id in sorted((at, one) for at, one in checks if at is not None and at <= now):
            state = self.accounts[account_id]
            self._owe(state, apply_tick(state, self.plans, self.clock))

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
