"""What a log asks to forget, and what may be found of it no more: accounts and people that were erased."""

from __future__ import annotations

from schemas.erasure import account_hash
from services.activation_engine.decoder import Record, decode_record
from services.activation_engine.domain.encoding import decode
from services.activation_engine.domain.erasure import ERASE, ERASE_PERSON
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.signals import ERASED
from services.activation_engine.store import Commit, Erasure
from tests.fakes.memory_store import MemoryStore
from tests.simulator.violation import require


class Forgotten:
    """The erasures of a partition's log: the offset of the newest command for each account, and for each person."""

    def __init__(self) -> None:
        self.accounts: dict[str, int] = {}
        self.people: dict[tuple[str, str], int] = {}

    def take(self, record: Record) -> None:
        """Take in the next record that was applied."""
        given = decode_record(record)
        if isinstance(given, Event) and given.type == "command":
            if given.name == ERASE:
                self.accounts[given.account_id] = record.offset
            elif given.name == ERASE_PERSON:
                self.people[given.account_id, given.text("user_id")] = record.offset

    def account_since(self, account_id: str, offset: int) -> bool:
        """Whether an account was erased by this record or a later one."""
        return self.accounts.get(account_id, -1) >= offset

    def letter(self, record: Record) -> bool:
        """Whether a dead letter may not be kept: its account was erased since, or a person that it names."""
        account_id = (record.key or b"").decode()
        people = [user for (one, user), at in self.people.items() if one == account_id and at > record.offset]
        return self.account_since(account_id, record.offset) or any(
            user.encode() in (record.value or b"") for user in people
        )


def check_erased(store: MemoryStore, erasure: Erasure, commit: Commit) -> None:
    """Right after the commit of an erasure there is nothing of the account but the signal that tells, and what the same
    commit wrote of its return."""
    account_id = erasure.account_id
    back = {row.account_id for row in commit.accounts}
    require(account_id in back or account_id not in store.accounts, "an erased account is kept:", account_id)
    rows = {plan for one, plan in store.plans if one == account_id}
    written = {row.plan for one, row in commit.plans if one == account_id}
    require(rows <= written, "rows of an erased account are kept:", account_id, rows - written)
    fresh = {row.id for row in commit.ledger}
    named = [row for row in store.ledger.get(erasure.part, []) if row.account_id == account_id]
    require(
        all(row.type == ERASED or row.id in fresh for row in named), "the ledger names an erased account:", account_id
    )
    letters = [one.offset for one in store.dead_letters if one.key == account_id.encode()]
    require(all(offset > erasure.offset for offset in letters), "letters of an erased account:", account_id, letters)


def check_forgotten(part: int, store: MemoryStore, forgotten: Forgotten) -> None:
    """At the end: every erasure has its tombstone; who did not come back is named nowhere, but by dead letters of a
    failed return, and an erased person in no state."""
    wanted = {account_hash(account_id): offset for account_id, offset in forgotten.accounts.items()}
    found = {erased: offset for erased, (on, offset) in store.tombstones.items() if on == part}
    require(found == wanted, "tombstones differ:", part, found, wanted)
    everything = repr({name: rows for name, rows in vars(store).items() if name != "dead_letters"})
    for account_id in forgotten.accounts:
        gone = account_id not in store.accounts
        require(not (gone and account_id in everything), "an erased account is named somewhere:", account_id)
    for (account_id, user), offset in forgotten.people.items():
        row = store.accounts.get(account_id)
        if row is not None and not forgotten.account_since(account_id, offset):
            people = {one for rule in decode(account_id, row.facts).facts.activity.values() for one in rule.people}
            require(user not in people, "an erased person is named:", account_id, user)
