"""Fold one batch of a partition's records into its accounts: pure given what was loaded, so it runs without any I/O.

The order of the log is the order of everything: events before a tick are folded before its timers fire.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from services.activation_engine.decoder import Input, Reason, Record, TickInput
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.erasure import ERASE, ERASE_PERSON, erase
from services.activation_engine.domain.event import Event, InvalidBody
from services.activation_engine.domain.signals import ERASED, CandidateSignal
from services.activation_engine.domain.ticking import apply_tick
from services.activation_engine.domain.timers import PartitionClock, advance, log_time
from services.activation_engine.domain.transitions import apply_event
from services.activation_engine.partition import Held, Partition
from services.activation_engine.store import DeadLetter, Erasure, NameSeen

# An event that took longer than this from its client to ingest counts as late.
LATE_MS = 5 * 60_000
# Event names that are kept; several engines at once may each meet some new ones before they know of each other's.
NAMES_MAX = 10_000
# Accounts and people erased by one transaction: each may have hundreds of rows, and a statement has ten seconds.
ERASURES_MAX = 500
# Records or accounts between two chances for the event loop: about five milliseconds of work.
_STEP = 250


@dataclass(slots=True)
class DueAccounts:
    """What was loaded for the batch's ticks. `more_from_ms` is the check time of the first account that was left out,
    None when all were loaded; `sweep` the next accounts of a sweep, ending with `swept_to`, None at the end of all."""

    accounts: list[Held] = field(default_factory=list)
    more_from_ms: int | None = None
    sweep: list[Held] = field(default_factory=list)
    swept_to: str | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """A signal to be written, with the account that it numbers, and of the record behind it when it was appended, when
    ingest received it, and its trace."""

    state: AccountState
    signal: CandidateSignal
    appended_ms: int
    received_ms: int
    traceparent: str | None = None

    @property
    def blank(self) -> bool:
        """Whether it keeps only its number and id: the same batch erased the account, of which it may not speak."""
        return self.state.erased and self.signal.type != ERASED


@dataclass(slots=True)
class Outcome:
    """What a batch made of one partition. `taken` records were consumed; fewer than given when timers wait for a next
    batch, which begins `midway` when some of them were decided; `erasures_left` are left to its transaction."""

    partition: Partition
    clock: PartitionClock
    next_offset: int
    last_append_ms: int | None
    sweep_after: str | None
    midway: bool
    taken: int = 0
    dirty: dict[str, Held] = field(default_factory=dict)
    signals: list[Announced] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    erasures: dict[str, Erasure] = field(default_factory=dict)
    erased_people: list[Erasure] = field(default_factory=list)
    erasures_left: int = ERASURES_MAX
    names: dict[str, list[int]] = field(default_factory=dict)
    applied: int = 0
    unchanged: int = 0
    late: int = 0
    latest_check_ms: int | None = None

    def names_seen(self) -> list[NameSeen]:
        """The catalogue's rows."""
        return [NameSeen(self.partition.part, name, *seen) for name, seen in self.names.items()]


def begin(partition: Partition) -> Outcome:
    """The outcome of nothing yet."""
    lease = partition.lease
    return Outcome(partition, lease.clock, lease.next_offset, lease.last_append_ms, lease.sweep_after, partition.midway)


def due_by(clock: PartitionClock, records: Sequence[Record], inputs: Sequence[Input]) -> int | None:
    """Accounts to check by this time are due at the ticks among these records: the clock of the last tick that decides
    something. One in a hold decides nothing, but others before it may; None when none does."""
    latest = None
    for record, given in zip(records, inputs, strict=True):
        if isinstance(given, TickInput):
            clock = _advanced(clock, record, given)
            if not clock.holding:
                latest = clock.clock_ms
    return latest


def fold(outcome: Outcome, records: Sequence[Record], inputs: Sequence[Input], due: DueAccounts) -> Iterator[None]:
    """Take the records in, in order, up to the erasure that would be one too many; yields now and then so that the
    caller may let others run."""
    for index, (record, given) in enumerate(zip(records, inputs, strict=True)):
        if isinstance(given, Event):
            if given.type == "command" and given.name in (ERASE, ERASE_PERSON) and outcome.erasures_left <= 0:
                return
            _take_event(outcome, record, given)
        elif isinstance(given, TickInput):
            consumed = yield from _take_tick(outcome, record, given, due)
            if not consumed:
                return
        else:
            _refuse(outcome, record, given.reason, given.detail)
        outcome.taken = index + 1
        outcome.midway = False
        outcome.next_offset = record.offset + 1
        outcome.last_append_ms = record.timestamp
        if index % _STEP == 0:
            yield


def _take_event(outcome: Outcome, record: Record, event: Event) -> None:
    if event.idle and event.account_id not in outcome.erasures:
        _count_event(outcome, event, record.timestamp, changed=False)
        return
    partition = outcome.partition
    event.appended_at_ms = log_time(outcome.clock, append_ms=record.timestamp, received_ms=event.received_at_ms)
    held = partition.accounts.get(event.account_id)
    if held is None:
        if event.account_id in partition.foreign:
            _refuse(outcome, record, Reason.WRONG_PARTITION, "the account belongs to another partition")
            return
        held = _enter(outcome, record, event)
    if record.offset <= held.erased_to:
        outcome.unchanged += 1
        return
    state = held.state
    command = event.name if event.type == "command" else None
    if command == ERASE:
        _erase(outcome, record, event, state)
        return
    state.dirty = False
    try:
        announced = apply_event(state, event, partition.plans, outcome.clock)
        if command == ERASE_PERSON:
            person = event.text("user_id")
            outcome.erased_people.append(Erasure(partition.part, record.offset, event.account_id, person))
            outcome.erasures_left -= 1
            # It names the person, and of erased people the newest alone are known.
            partition.repeats.forget()
    except InvalidBody as error:
        _refuse(outcome, record, Reason.BODY_INVALID, str(error)[:500])
        return
    if state.dirty:
        outcome.dirty[state.account_id] = held
    else:
        partition.repeats.learn(event, partition.plans, state.facts)
    for signal in announced:
        outcome.signals.append(Announced(state, signal, record.timestamp, event.received_at_ms, event.traceparent))
    _count_event(outcome, event, record.timestamp, changed=state.dirty)


def _enter(outcome: Outcome, record: Record, event: Event) -> Held:
    """An account of which nothing is known yet, unless the record is older than its erasure."""
    partition, account_id = outcome.partition, event.account_id
    held = Held(AccountState.new(account_id, event.appended_at_ms), erased_to=partition.erased_to(account_id))
    if record.offset > held.erased_to:
        partition.accounts.put(held)
        outcome.dirty[account_id] = held
    return held


def _erase(outcome: Outcome, record: Record, event: Event, state: AccountState) -> None:
    """From here on it is as if the account had never been, but for its last signal."""
    partition, account_id = outcome.partition, event.account_id
    outcome.signals.append(Announced(state, erase(state, event), record.timestamp, event.received_at_ms))
    outcome.dirty.pop(account_id, None)
    outcome.erasures[account_id] = Erasure(partition.part, record.offset, account_id)
    outcome.erasures_left -= 1
    partition.erase(account_id, record.offset)
    _count_event(outcome, event, record.timestamp, changed=True)


def _count_event(outcome: Outcome, event: Event, appended_ms: int, *, changed: bool) -> None:
    if changed:
        outcome.applied += 1
    else:
        outcome.unchanged += 1
    if event.received_at_ms - event.occurred_at_ms > LATE_MS:
        outcome.late += 1
    name = event.name
    if event.type == "command":
        name = event.text("event") if name == "note" else None
    if name:
        _note_name(outcome, name, appended_ms)


def _note_name(outcome: Outcome, name: str, appended_ms: int) -> None:
    seen = outcome.names.get(name)
    if seen is not None:
        seen[0] += 1
        seen[2] = appended_ms
        return
    known = outcome.partition.names
    if name in known or len(known) < NAMES_MAX:
        known.add(name)
        outcome.names[name] = [1, appended_ms, appended_ms]


def _refuse(outcome: Outcome, record: Record, reason: Reason, detail: str) -> None:
    if record.key is not None and record.offset <= outcome.partition.erased_to(record.key.decode(errors="replace")):
        outcome.unchanged += 1
        return
    # The detail may quote the record, and the database takes no U+0000.
    letter = DeadLetter(
        outcome.partition.part,
        record.offset,
        reason,
        detail.replace("\0", "\\0"),
        record.key,
        record.value,
        record.timestamp,
    )
    outcome.dead_letters.append(letter)


def _take_tick(outcome: Outcome, record: Record, tick: TickInput, due: DueAccounts) -> Generator[None, None, bool]:
    """Move the clock and fire what is due by it. False, with the clock as it was, when the tick has to come again
    because more accounts are due, or to be swept, than were loaded: all of them are decided at one tick, however the
    log is cut into batches."""
    clock = _advanced(outcome.clock, record, tick)
    if clock.holding:
        outcome.clock = clock
        return True
    more_due = due.more_from_ms is not None and due.more_from_ms <= (clock.clock_ms or 0)
    again = more_due or due.swept_to is not None
    if again and outcome.taken:
        return False
    yield from _fire(outcome, clock, record.timestamp, due.accounts)
    if not more_due:
        yield from _sweep(outcome, clock, record.timestamp, due)
    outcome.midway = again
    if not again:
        outcome.clock = clock
    return not again


def _fire(outcome: Outcome, clock: PartitionClock, appended_ms: int, loaded: Iterable[Held]) -> Iterator[None]:
    now = clock.clock_ms or 0
    # Besides what was loaded: accounts whose next check was lowered by this very batch.
    due: dict[str, tuple[int, str, Held]] = {}
    for held in (*loaded, *outcome.dirty.values()):
        state = held.state
        if state.next_check_ms is not None and state.next_check_ms <= now and not state.erased:
            due[state.account_id] = (state.next_check_ms, state.account_id, held)
    fired = sorted(due.values())
    # Not what was over when it was heard of, as in an import of old customers, nor what waited for the end of a hold.
    if fired and fired[-1][0] > (outcome.clock.clock_ms or 0):
        outcome.latest_check_ms = max(fired[-1][0], outcome.latest_check_ms or 0)
    for index, (_, _, held) in enumerate(fired):
        _tick_account(outcome, held, clock, appended_ms)
        if index % _STEP == _STEP - 1:
            yield
    # A backlog may hold hundreds of ticks, and each of them looks at all that the batch has met.
    if len(outcome.dirty) > _STEP:
        yield


def _sweep(outcome: Outcome, clock: PartitionClock, appended_ms: int, due: DueAccounts) -> Iterator[None]:
    """Look again at the next accounts, because a plan version went live, but for those that were due at this tick."""
    for index, held in enumerate(due.sweep):
        state = held.state
        looked = state.adopted is outcome.partition.plans and state.looked_ms == clock.clock_ms
        if not state.erased and not looked:
            _tick_account(outcome, held, clock, appended_ms)
        if index % _STEP == _STEP - 1:
            yield
    outcome.sweep_after = due.swept_to
    due.sweep = []


def _tick_account(outcome: Outcome, held: Held, clock: PartitionClock, appended_ms: int) -> None:
    state = held.state
    for signal in apply_tick(state, outcome.partition.plans, clock):
        outcome.signals.append(Announced(state, signal, appended_ms, appended_ms))
    if state.dirty:
        outcome.dirty[state.account_id] = held


def _advanced(clock: PartitionClock, record: Record, tick: TickInput) -> PartitionClock:
    return advance(
        clock, append_ms=record.timestamp, sent_at_ms=tick.sent_at_ms, last_event_at_ms=tick.last_event_at_ms
    )
