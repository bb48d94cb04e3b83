"""Erasure within a batch: its place in the log is what counts, however the log is cut and wherever a fold begins."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from schemas.erasure import account_hash, pseudonym
from services.activation_engine import batch
from services.activation_engine.batch import DueAccounts, Outcome, begin, fold
from services.activation_engine.commit_plan import Outward, add_erasures, ledger_rows
from services.activation_engine.decoder import Input, Poison, Reason, TickInput
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import encode
from services.activation_engine.domain.event import Event
from services.activation_engine.partition import AccountCache, Held, Partition
from services.activation_engine.store import Commit, Erasure, Lease, Notice, StoredAccount
from tests.builders import START_MS, command, day, event, plan_set, traits


@dataclass
class Sent:
    """A record as the consumer hands it over; its content is decoded already."""

    offset: int
    timestamp: int
    key: bytes | None = b"acme"
    value: bytes | None = None


def partition(**more: object) -> Partition:
    """A partition of which nothing is in memory."""
    lease = Lease(part=0, stamp=uuid4(), source="events")
    return Partition(lease, {}, plan_set(), AccountCache(1_000), **more)  # type: ignore[arg-type]


def run(held: Partition, inputs: list[Input], *, first: int = 0, due: DueAccounts | None = None) -> Outcome:
    """Fold these records, the first of which has the offset `first`."""
    outcome = begin(held)
    records = [
        Sent(first + index, one.appended_at_ms if isinstance(one, Event) else getattr(one, "sent_at_ms", START_MS))
        for index, one in enumerate(inputs)
    ]
    for _ in fold(outcome, records, inputs, due or DueAccounts()):
        pass
    return outcome


def test_what_the_batch_made_of_the_account_before_is_not_written() -> None:
    """State and signals of before; the signals keep their numbers and ids, or the ledger would depend on the cut."""
    held = partition()
    outcome = run(held, [event("Data Imported"), command("erase", day(1)), event("Report Made", day(2))], first=7)
    rows = ledger_rows(outcome, outcome.signals, Outward())
    told = next(index for index, row in enumerate(rows) if row.type == "account.erased")
    assert told > 0
    for row in rows[:told]:
        assert (row.account_id, row.payload) == (pseudonym("acme"), None)
    for row in rows[told:]:
        assert row.account_id == "acme"
        assert row.payload
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    state = outcome.dirty["acme"].state
    assert state.enrolled_at_ms == day(2)
    assert not state.erased
    assert list(outcome.erasures.values()) == [Erasure(0, 8, "acme")]
    assert (outcome.applied, outcome.unchanged) == (3, 0)
    assert run(partition(), [event("Data Imported"), command("erase", day(1))]).dirty == {}


def test_an_account_loaded_for_its_timers_is_not_woken_after_its_erasure() -> None:
    """It was due, or to be swept, when the batch was loaded, and is gone at the tick."""
    held = partition()
    before = run(held, [event("Data Imported"), TickInput(START_MS, START_MS)])
    loaded = before.dirty["acme"]
    loaded.state.check_by(START_MS)
    inputs: list[Input] = [command("erase", START_MS + 1), TickInput(START_MS + 2, START_MS + 2)]
    for due in (DueAccounts([loaded]), DueAccounts(sweep=[loaded])):
        loaded.state.erased = False
        held.accounts.put(loaded)
        outcome = run(held, inputs, due=due, first=2)
        assert [one.signal.type for one in outcome.signals] == ["account.erased"]
        assert outcome.dirty == {}
        held.tombstones.clear()


def test_records_of_an_erased_account_count_for_nothing() -> None:
    """Whether it came back or not, and the command itself too: a fold that begins again changes nothing."""
    log: list[Input] = [event("Data Imported"), command("erase", day(1)), event("Page Viewed", day(2))]
    gone = run(partition(tombstones={account_hash("acme"): 1}), log[:2])
    assert (gone.dirty, gone.signals, gone.erasures, gone.applied, gone.unchanged) == ({}, [], {}, 0, 2)
    back = partition(tombstones={account_hash("acme"): 1})
    state = AccountState.new("acme", day(2))
    back.accounts.put(Held(state, (), back.erased_to("acme")))
    again = run(back, log)
    assert again.signals[0].signal.type == "account.activation_started"
    assert (state.enrolled_at_ms, state.facts.activity != {}, again.unchanged, again.applied) == (day(2), True, 2, 1)
    assert again.erasures == {}
    poison: list[Input] = [Poison(Reason.NOT_VALID, "x"), Poison(Reason.NOT_VALID, "x"), Poison(Reason.NOT_VALID, "y")]
    refused = run(partition(tombstones={account_hash("acme"): 1}), poison)
    assert [(letter.offset, letter.detail) for letter in refused.dead_letters] == [(2, "y")]
    assert refused.unchanged == 2


def test_an_erased_account_is_remembered_when_it_is_loaded_again() -> None:
    """Also by the process that erased it, after its cache forgot the account that came back."""
    held = partition()
    run(held, [command("erase"), event("Page Viewed", day(1))], first=5)
    held.accounts = AccountCache(1_000)
    assert held.erased_to("acme") == 5
    assert held.erased_to("other") == -1
    assert run(held, [event("Data Imported")], first=5).unchanged == 1
    held.admit(StoredAccount("acme", 0, encode(AccountState.new("acme", day(1)))))
    assert run(held, [event("Data Imported")], first=5).applied == 0


def test_an_account_of_another_partition_is_not_erased() -> None:
    """The command is a dead letter, as any record would be."""
    outcome = run(partition(foreign={"acme"}), [command("erase")])
    assert [letter.reason for letter in outcome.dead_letters] == ["wrong_partition"]
    assert outcome.erasures == {}


def test_a_batch_erases_a_bounded_number_of_accounts_and_people() -> None:
    """The others wait for the next one, and so does what follows them."""
    accounts: list[Input] = [command("erase", account=f"a{number}") for number in range(batch.ERASURES_MAX - 1)]
    people: list[Input] = [command("erase_person", user_id=f"u{number}") for number in range(2)]
    outcome = run(partition(), [*accounts, people[0], event(), people[1], event()])
    assert (outcome.taken, outcome.next_offset) == (batch.ERASURES_MAX + 1, batch.ERASURES_MAX + 1)
    assert len(outcome.erasures) + len(outcome.erased_people) == batch.ERASURES_MAX


def test_a_person_is_erased_from_dead_letters_too() -> None:
    """A malformed command is a dead letter itself, and erases nobody."""
    held = partition()
    outcome = run(held, [traits(), command("erase_person", user_id="ann@acme.example"), command("erase_person")])
    assert outcome.erased_people == [Erasure(0, 1, "acme", "ann@acme.example")]
    assert [letter.reason for letter in outcome.dead_letters] == ["body_invalid"]


def test_what_an_erased_person_repeats_is_forgotten() -> None:
    """It has the id, and would stay known when so many more were erased that it has to be folded again."""
    held, again = partition(), event("Page Viewed", START_MS + 3, user="ann")
    run(held, [event("Page Viewed", START_MS + number, user="ann") for number in range(2)])
    assert held.repeats.cover(again, held.plans)
    run(held, [command("erase_person", START_MS + 2, user_id="ann")])
    assert len(held.repeats) == 0


def test_what_tells_of_an_erasure_is_blanked_once_it_is_published() -> None:
    """By whichever owner: a claim brings those that are pending."""
    held = partition(notices={3: pseudonym("other")})
    outcome = run(held, [command("erase"), Poison(Reason.NOT_VALID, "x")])
    rows = ledger_rows(outcome, outcome.signals, Outward())
    commit = Commit()
    add_erasures(commit, outcome, rows, published_seq=0)
    assert (commit.announced_erasures, set(held.notices)) == ([], {1, 3})
    assert commit.erasures == [Erasure(0, 0, "acme")]
    for published, blanked in ((1, [Notice(0, 1, pseudonym("acme"))]), (9, [Notice(0, 3, pseudonym("other"))])):
        later = Commit()
        add_erasures(later, begin(held), [], published_seq=published)
        assert later.announced_erasures == blanked
    assert held.notices == {}
