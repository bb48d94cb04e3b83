"""What erasure leaves in the database, asked of PostgreSQL and of the store in memory alike."""

from __future__ import annotations

from dataclasses import replace
from typing import cast
from uuid import uuid4

import pytest
import sqlalchemy as sa

from schemas.erasure import account_hash, pseudonym
from services.activation_engine.domain.rows import PlanRow
from services.activation_engine.operations.audit.differences import Place, difference
from services.activation_engine.operations.audit.result import AuditedPartition, audit_result
from services.activation_engine.operations.events_log import Bounds, EventsLog
from services.activation_engine.operations.jobs import JobStore
from services.activation_engine.operations.resumes import Resumes
from services.activation_engine.postgres_store import PostgresStore
from services.activation_engine.store import Commit, DeadLetter, Erasure, LeaseLost, LedgerRow, Notice, Store
from services.runtime import postgres
from tests.conformance.rows import account, claimed, signal, step
from tests.fakes.memory_store import MemoryStore


def told(row: LedgerRow) -> tuple[int, str, str, bytes | None]:
    return row.seq, row.id, row.account_id, row.payload


async def ledger_of(store: Store, part: int = 0) -> list[tuple[int, str, str, bytes | None]]:
    rows = await store.read_ledger(part, after=0, rows_max=100, bytes_max=1_000_000)
    return [told(row) for row in rows]


async def letters_left(store: Store) -> set[int]:
    """The offsets of the dead letters, negative of those that are blanked."""
    if isinstance(store, MemoryStore):
        return {letter.offset if letter.key else -letter.offset for letter in store.dead_letters}
    assert isinstance(store, PostgresStore)
    asked = (
        'SELECT CASE WHEN key IS NULL AND value IS NULL THEN -"offset" ELSE "offset" END FROM activation.dead_letter'
    )
    async with store._engine.connect() as connection:
        return set((await connection.execute(sa.text(asked))).scalars())


def letter(
    offset: int, part: int = 0, key: bytes = b"acme", value: bytes = b"{}", reason: str = "not_valid"
) -> DeadLetter:
    return DeadLetter(part, offset, reason, "why", key, value, 9)


async def test_an_erasure_leaves_numbers_ids_and_a_hash(store: Store) -> None:
    """Accounts, rows for queries, payloads, and what the account came back with in the same commit."""
    lease = await claimed(store)
    row = PlanRow("p", 1, "on_track", None, "smb", 1_000, None, None, {"data": 1_500})
    others = replace(signal(2), account_id="other")
    first, second = step(lease, out_seq=2), None
    await store.commit(
        Commit(
            [first],
            accounts=[account("acme"), account("other")],
            plans=[("acme", row), ("other", row)],
            ledger=[signal(1), others],
        )
    )
    second = step(first[1], out_seq=4)
    erased = replace(signal(3, payload=b"{3}"), type="account.erased")
    later = signal(4, payload=b"{4}")
    back = account("acme")._replace(facts=b"new")
    await store.commit(Commit([second], accounts=[back], ledger=[erased, later], erasures=[Erasure(0, 8, "acme")]))
    assert [one.facts for one in await store.load_accounts(["acme"])] == [b"new"]
    assert await store.count_statuses() == {"on_track": 1}
    rows = await ledger_of(store)
    assert rows[0][2:] == (pseudonym("acme"), None)
    assert rows[1:] == [told(others), told(erased), told(later)]
    claim = await store.claim(0, stamp=uuid4(), owner="you")
    assert claim.tombstones == {account_hash("acme"): 8}
    assert claim.notices == (Notice(0, 3, "acme"),)
    assert (await store.claim(1, stamp=uuid4(), owner="you")).tombstones == {}
    assert await store.known_signals([rows[0][1]]) == {rows[0][1]}


async def test_what_tells_of_an_erasure_is_blanked_when_asked_for(store: Store) -> None:
    """Not by the erasure, nor by a second one; and then no claim finds it again."""
    first = step(await claimed(store), out_seq=1)
    erased = replace(signal(1), type="account.erased")
    await store.commit(Commit([first], ledger=[erased], erasures=[Erasure(0, 3, "acme")]))
    second = step(first[1])
    await store.commit(Commit([second], erasures=[Erasure(0, 9, "acme")]))
    assert await ledger_of(store) == [told(erased)]
    notice = Notice(0, 1, pseudonym("acme"))
    await store.commit(Commit([step(second[1])], announced_erasures=[notice]))
    assert await ledger_of(store) == [(1, erased.id, pseudonym("acme"), None)]
    claim = await store.claim(0, stamp=uuid4(), owner="you")
    assert (claim.notices, claim.tombstones) == ((), {account_hash("acme"): 9})


async def test_an_erasure_takes_the_dead_letters_below_it(store: Store) -> None:
    """Those of the same commit too, and those of partitions where the account has no place; an audit needs these."""
    first = step(await claimed(store))
    foreign = [letter(98, part=1), letter(99, part=1, reason="wrong_partition")]
    await store.commit(Commit([first], dead_letters=[letter(1), letter(2, key=b"other"), *foreign]))
    both = [letter(3), letter(7)]
    await store.commit(Commit([step(first[1])], dead_letters=both, erasures=[Erasure(0, 5, "acme")]))
    assert await letters_left(store) == {2, 7, -99}


async def test_a_person_goes_from_the_dead_letters_of_the_account(store: Store) -> None:
    """Wherever the id stands in the record; the letters of others and later ones stay."""
    mine = b'{"user_id": "ann@acme.example"}'
    letters = [letter(1, value=mine), letter(2, value=b'{"user_id":"bob"}'), letter(3, key=b"other", value=mine)]
    erased = [Erasure(0, 4, "acme", "ann@acme.example")]
    commit = Commit([step(await claimed(store))], dead_letters=[*letters, letter(6, value=mine)], erased_people=erased)
    await store.commit(commit)
    assert await letters_left(store) == {2, 3, 6}


async def test_a_person_goes_from_reports_of_audits(schema: str) -> None:
    """PostgreSQL alone: also an id with characters that JSON escapes, once in a quoted state and again around it."""
    engine = postgres.connect(schema, service="test", connections_max=2)
    store, jobs, person = PostgresStore(engine), JobStore(engine), 'o"neil\\\u00e9'
    where, what = Place("acme", "state", "activity"), difference({"people": {person: 1}}, None)
    job = await jobs.create("audit", state="running", by="test")
    await jobs.end(job.id, state="done", result=audit_result([AuditedPartition(0, 9, {where: what})]))
    await store.commit(Commit([step(await claimed(store))], erased_people=[Erasure(0, 5, "acme", person)]))
    ended = await jobs.read(job.id)
    assert ended is not None
    assert ended.result is None
    await engine.dispose()


async def test_an_erasure_under_an_old_stamp_changes_nothing(store: Store) -> None:
    """Nor does it touch an account of another partition under a stamp that holds."""
    lease, other = await claimed(store), await claimed(store, 1)
    first = step(lease, out_seq=1)
    await store.commit(Commit([first], accounts=[account("acme")], ledger=[signal(1)], dead_letters=[letter(1)]))
    with pytest.raises(LeaseLost):
        await store.commit(Commit([step(lease)], erasures=[Erasure(0, 5, "acme")]))
    assert (await store.claim(0, stamp=uuid4(), owner="me")).tombstones == {}
    assert await letters_left(store) == {1}
    await store.commit(Commit([step(other)], erasures=[Erasure(1, 5, "acme")]))
    assert len(await store.load_accounts(["acme"])) == 1
    assert (await ledger_of(store))[0][2] == "acme"


class NewLog:
    """A log that was recreated and has ten records."""

    topic = "events"

    async def bounds(self, part: int) -> Bounds:
        return Bounds(0, 10)

    async def append_time(self, part: int, offset: int) -> int | None:
        return None


async def test_the_return_of_an_account_counts_in_a_log_that_begins_anew(schema: str) -> None:
    """PostgreSQL alone: what such a log holds when an operator lets the partition go on stays unread, nothing later."""
    engine = postgres.connect(schema, service="test", connections_max=2)
    store = PostgresStore(engine)
    first = step(await claimed(store, 2))
    await store.commit(Commit([first], erasures=[Erasure(2, 500, "long ago"), Erasure(2, 4, "early")]))
    await store.stop_partition(2, stamp=first[1].stamp, reason="recreated")
    await Resumes(engine, cast(EventsLog, NewLog())).resume(2, place="earliest", reason="recreated", by="test")
    claim = await store.claim(2, stamp=uuid4(), owner="me")
    assert claim.tombstones == {account_hash("long ago"): 9, account_hash("early"): 4}
    await engine.dispose()
