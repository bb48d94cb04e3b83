"""The fold of a batch gives what a plain fold gives, however the log is cut into batches and whatever was cached."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.activation_engine import batch
from services.activation_engine.batch import DueAccounts, Outcome, begin, due_by, fold
from services.activation_engine.commit_plan import PAYLOAD_BYTES_MAX, Outward, distinct, ledger_rows, next_lease
from services.activation_engine.decoder import Input, Poison, Reason, TickInput
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import decode, encode
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plain_fold import Tick, fold_partition
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.ticking import apply_tick
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.loading import accounts_touched
from services.activation_engine.partition import AccountCache, Held, Partition
from services.activation_engine.store import Lease, LedgerRow
from tests.builders import HOUR_MS, START_MS, command, day, event, plan_set, traits


@dataclass
class Sent:
    """A record as the consumer hands it over; its content is decoded already."""

    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None


def partition(plans: PlanSet | None = None) -> Partition:
    lease = Lease(part=0, stamp=uuid4(), source="events")
    return Partition(lease, {}, plans or plan_set(), AccountCache(1_000))


def tick(at_ms: int) -> TickInput:
    return TickInput(at_ms, at_ms)


def records_of(inputs: Sequence[Input], first: int = 0) -> list[Sent]:
    """Records appended when their content says."""
    times = [one.appended_at_ms if isinstance(one, Event) else getattr(one, "sent_at_ms", START_MS) for one in inputs]
    return [Sent(first + index, at) for index, at in enumerate(times)]


def run(outcome: Outcome, inputs: list[Input], due: DueAccounts | None = None) -> Outcome:
    for _ in fold(outcome, records_of(inputs, outcome.next_offset), inputs, due or DueAccounts()):
        pass
    return outcome


class Shelf:
    """Accounts as a database keeps them: encoded, looked up by id and by next check."""

    def __init__(self, due_max: int) -> None:
        self.rows: dict[str, bytes] = {}
        self.due_max = due_max

    def load(self, held: Partition, inputs: Sequence[Input], records: Sequence[Sent]) -> DueAccounts:
        for account_id in held.accounts.missing(accounts_touched(held, inputs)):
            if account_id in self.rows:
                state = decode(account_id, self.rows[account_id])
                held.accounts.put(Held(state, erased_to=held.erased_to(account_id)))
        by_ms = due_by(held.lease.clock, records, inputs)
        states = [decode(account_id, facts) for account_id, facts in self.rows.items()]
        checks = [(state.next_check_ms, state.account_id, state) for state in states if state.next_check_ms is not None]
        due = sorted(one for one in checks if by_ms is not None and one[0] <= by_ms)
        found = DueAccounts(more_from_ms=due[self.due_max][0] if len(due) > self.due_max else None)
        for _, account_id, state in due[: self.due_max]:
            known = held.accounts.get(account_id) or Held(state)
            held.accounts.put(known)
            found.accounts.append(known)
        return found

    def commit(self, outcome: Outcome, known: set[str]) -> list[LedgerRow]:
        fresh, _ = distinct(outcome.signals, known)
        rows = ledger_rows(outcome, fresh, Outward())
        for erased in outcome.erasures:
            self.rows.pop(erased, None)
        self.rows |= {account_id: encode(held.state) for account_id, held in outcome.dirty.items()}
        lease = next_lease(outcome, stamp=uuid4(), signals=len(rows), published_seq=0, redelivered=0)
        outcome.partition.lease = lease
        return rows


def log_of(seed: int, length: int) -> list[Input]:
    """Some weeks of a few accounts, a tick now and then."""
    dice = random.Random(seed)
    inputs: list[Input] = []
    at = START_MS
    names = ("Data Imported", "Report Made", "Page Viewed")
    for number in range(length):
        at += dice.randrange(HOUR_MS)
        account = f"account-{dice.randrange(6)}"
        match dice.randrange(10):
            case 0:
                inputs.append(traits(at, account=account, message=f"t{number}", segment=dice.choice(["smb", "large"])))
            case 1 | 2 | 3:
                inputs += [tick(at + step * 200_000) for step in range(dice.randrange(1, 300))]
                at = max(at, inputs[-1].sent_at_ms if isinstance(inputs[-1], TickInput) else at)
            case 4:
                inputs.append(command("erase", at, account=account, message=f"x{number}"))
            case _:
                late, name = at - dice.choice([0, 0, HOUR_MS * 30]), dice.choice(names)
                inputs += [
                    event(name, late + again, account=account, message=f"e{number}.{again}", appended=at + again)
                    for again in range(dice.choice([1, 1, 6]))
                ]
    return inputs


@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(1, 3), st.booleans())
def test_any_cut_into_batches_gives_the_signals_of_a_plain_fold(
    seed: int, cut: int, due_max: int, forget: bool
) -> None:
    """Also when caches are dropped between batches, and when more accounts are due than one batch may load."""
    inputs = log_of(seed, 40)
    held, shelf = partition(), Shelf(due_max)
    ledger: list[LedgerRow] = []
    while held.lease.next_offset < len(inputs):
        start = held.lease.next_offset
        part = inputs[start : start + cut]
        due = shelf.load(held, part, records_of(part, start))
        outcome = run(begin(held), part, due)
        ledger += shelf.commit(outcome, {row.id for row in ledger})
        if forget:
            held.accounts = AccountCache(1_000)
    plain = fold_partition(
        (
            Tick(one.sent_at_ms, one.sent_at_ms, one.last_event_at_ms) if isinstance(one, TickInput) else one
            for one in inputs
            if not isinstance(one, Poison)
        ),
        plan_set(),
    )
    assert [row.id for row in ledger] == [signal.id for signal in plain.signals]
    assert [row.seq for row in ledger] == list(range(1, len(ledger) + 1))
    assert set(shelf.rows) == set(plain.accounts)
    for account_id, facts in shelf.rows.items():
        assert encode(plain.accounts[account_id]) == facts
    assert held.lease.clock == plain.clock


@pytest.mark.parametrize("cut", [1, 2])
def test_timers_fire_at_the_last_tick_before_a_hole_also_when_both_come_in_one_batch(cut: int) -> None:
    """A tick in a hold decides nothing, those before it decide as ever."""
    late = day(10)
    inputs: list[Input] = [event("Page Viewed", START_MS), tick(START_MS)]
    inputs += [tick(START_MS + step * 300_000) for step in range(1, 10 * 24 * 12)]
    ending: list[Input] = [tick(late), tick(late + HOUR_MS)]
    parts = [inputs, *(ending[start : start + cut] for start in range(0, len(ending), cut))]
    held, shelf = partition(), Shelf(10)
    types: list[str] = []
    for part in parts:
        records = records_of(part, held.lease.next_offset)
        outcome = run(begin(held), part, shelf.load(held, part, records))
        types += [row.type for row in shelf.commit(outcome, set())]
    assert types == ["account.activation_started", "account.at_risk"]
    assert held.lease.clock.holding


def test_events_before_a_tick_are_folded_before_its_timers_fire() -> None:
    """An account that was active just before the tick is not quiet at it."""
    quiet_for = day(30)
    first: list[Input] = [event("Data Imported", START_MS), event("Report Made", START_MS), tick(START_MS)]
    active = run(begin(partition()), [*first, event("Page Viewed", quiet_for - HOUR_MS), tick(quiet_for)])
    late = run(begin(partition()), [*first, tick(quiet_for), event("Page Viewed", quiet_for - HOUR_MS)])
    assert active.clock.holding
    assert {one.signal.type for one in active.signals} >= {"account.first_value_reached"}
    assert late.taken == active.taken == 5


def test_how_late_an_account_is_looked_at_counts_from_the_tick_before() -> None:
    """What was over already when it was heard of, as in an import of old customers, is not late."""
    old, new = partition(), partition()
    heard = run(begin(old), [tick(day(50)), event("Data Imported", day(0)), tick(day(50) + 60_000)])
    assert heard.dirty["acme"].state.plans["small"].status == "stalled"
    assert heard.latest_check_ms is None
    known = run(begin(new), [tick(day(0)), event("Data Imported", day(0)), tick(day(0) + 60_000)])
    (due_ms,) = [held.state.next_check_ms for held in known.dirty.values()]
    assert due_ms is not None
    new.lease = replace(
        new.lease, clock=msgspec.structs.replace(known.clock, clock_ms=due_ms - 10_000, last_event_at_ms=due_ms)
    )
    later = run(begin(new), [tick(due_ms + 10_000)], DueAccounts(list(known.dirty.values())))
    assert later.latest_check_ms == due_ms


def test_poison_and_unreadable_bodies_become_dead_letters_and_the_partition_moves_on() -> None:
    """Each with its offset and reason; the events around it count."""
    broken = event("Page Viewed", START_MS, kind="group")
    broken.body = b"[1]"
    outcome = begin(partition())
    outcome.partition.foreign = {"theirs"}
    run(
        outcome,
        [
            event("Page Viewed", START_MS),
            Poison(Reason.NOT_VALID, "bad\0text"),
            broken,
            event("Page Viewed", START_MS, account="theirs"),
            event("Page Viewed", START_MS),
        ],
    )
    assert [(one.offset, one.reason) for one in outcome.dead_letters] == [
        (1, "not_valid"),
        (2, "body_invalid"),
        (3, "wrong_partition"),
    ]
    assert "\0" not in outcome.dead_letters[0].detail
    assert (outcome.applied, outcome.unchanged, outcome.next_offset) == (1, 1, 5)
    assert outcome.names == {"Page Viewed": [2, START_MS, START_MS]}


def test_the_catalogue_has_names_of_events_and_of_notes() -> None:
    """A note is an event that a person tells of; other commands are none."""
    outcome = run(
        begin(partition()),
        [command("note", START_MS, event="concern.raised"), command("pause", START_MS, reason="r"), traits(tier="smb")],
    )
    assert set(outcome.names) == {"concern.raised"}


@pytest.mark.parametrize("broken", ["unreadable", "malformed"])
def test_what_an_adoption_announces_survives_a_bad_record(broken: str) -> None:
    """The first record after a version went live may be poison; what the version found is announced all the same."""
    held = partition(plan_set([]))
    before = run(begin(held), [event("Data Imported", START_MS), tick(START_MS + 1)])
    held.lease = replace(held.lease, clock=before.clock)
    held.plans = plan_set(policy="emit", live_from=START_MS + 1)
    bad = command("pause", START_MS) if broken == "malformed" else event("Page Viewed", START_MS, kind="group")
    bad.body = bad.body if broken == "malformed" else b"["
    outcome = run(begin(held), [bad, event("Page Viewed", START_MS)])
    assert len(outcome.dead_letters) == 1
    assert [one.signal.type for one in outcome.signals][:1] == ["account.activation_started"]
    assert set(outcome.dirty) == {"acme"}


def test_what_is_known_to_change_nothing_needs_no_account() -> None:
    """It is counted all the same."""
    held, again = partition(), event("Page Viewed", START_MS + 2)
    run(begin(held), [event("Page Viewed", START_MS + number) for number in range(2)])
    held.accounts = AccountCache(1_000)
    assert list(accounts_touched(held, [again, event("Page Viewed", START_MS + 2, account="birch")])) == ["birch"]
    outcome = run(begin(held), [again])
    assert (outcome.applied, outcome.unchanged, len(held.accounts)) == (0, 1, 0)
    assert outcome.names == {"Page Viewed": [1, again.appended_at_ms, again.appended_at_ms]}


@pytest.mark.parametrize("cut", [1, 2])
def test_after_an_erasure_nothing_is_known_of_the_account(cut: int) -> None:
    """Neither by the rest of its batch nor by the next one: what comes after begins a new account."""
    held, shelf = partition(), Shelf(10)
    shelf.commit(run(begin(held), [event("Page Viewed", START_MS + number) for number in range(2)]), set())
    inputs: list[Input] = [command("erase", START_MS + 2), event("Page Viewed", START_MS + 3)]
    for start in range(0, len(inputs), cut):
        part = inputs[start : start + cut]
        accounts_touched(held, part)
        outcome = run(begin(held), part)
        shelf.commit(outcome, set())
    assert outcome.dirty["acme"].state.enrolled_at_ms == START_MS + 3


@pytest.mark.parametrize("met", [False, True])
def test_a_sweep_looks_at_what_other_plans_decided_by_that_clock(met: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it was due as well; a record that an account met since then adopts, and decides no deadline."""
    decided: list[tuple[PlanSet, int | None]] = []

    def counted(state: AccountState, plans: PlanSet, clock: PartitionClock) -> Any:
        decided.append((plans, clock.clock_ms))
        return apply_tick(state, plans, clock)

    monkeypatch.setattr(batch, "apply_tick", counted)
    held = partition()
    before = held.plans
    run(begin(held), [event("Data Imported", START_MS)])
    acme = held.accounts.get("acme")
    assert acme is not None
    outcome = run(begin(held), [tick(START_MS)], DueAccounts([acme], sweep=[acme]))
    assert decided == [(before, START_MS)]
    held.lease, held.plans = replace(held.lease, clock=outcome.clock), plan_set()
    outcome = run(begin(held), [event("Page Viewed", START_MS + 1)] if met else [])
    run(outcome, [tick(START_MS)], DueAccounts(sweep=[acme]))
    assert decided == [(before, START_MS), (held.plans, START_MS)]


def test_a_known_signal_takes_no_number() -> None:
    """Neither in the partition nor in the account: numbers stay gapless."""
    outcome = run(begin(partition()), [event("Data Imported", START_MS)])
    first, *others = outcome.signals
    fresh, dropped = distinct([*outcome.signals, first], {first.signal.id})
    rows = ledger_rows(outcome, fresh, Outward())
    assert dropped == 2
    assert [row.seq for row in rows] == [1]
    assert [one.signal.sequence for one in others] == [1]


def test_a_signal_beyond_the_limit_goes_without_traits() -> None:
    """A subscriber learns what happened rather than nothing."""
    big: dict[str, Any] = {f"trait-{number}": "é" * 255 for number in range(90)} | {"plain": "x"}
    values = {f"{name}{copy}": value for name, value in big.items() for copy in ("", "b", "c")}
    outcome = run(begin(partition()), [traits(START_MS, **values), event("Data Imported", START_MS)])
    rows = ledger_rows(outcome, outcome.signals, Outward(traits=frozenset(values)))
    assert rows
    assert all(len(row.payload or b"") <= PAYLOAD_BYTES_MAX for row in rows)
    small = ledger_rows(
        outcome, outcome.signals, Outward(traits=frozenset({"plain"}), account_link="https://crm/{account}")
    )
    assert b"https://crm/acme" in (small[0].payload or b"")


@pytest.mark.parametrize(("late_ms", "late"), [(5 * 60_000, 0), (5 * 60_000 + 1, 1)])
def test_late_events_are_counted(late_ms: int, late: int) -> None:
    """An event is late when it took more than five minutes from its client to ingest."""
    outcome = run(begin(partition()), [event("Page Viewed", START_MS, appended=START_MS + late_ms)])
    assert outcome.late == late
