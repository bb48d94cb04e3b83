"""The resolver puts aside what it can never apply; what only has to wait is not among it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.ingest.delivery import Delivery, Record
from services.ingest.directory.person import Person
from services.ingest.directory.resolver import Resolver, ResolverRules
from services.ingest.directory.store import Claim, ParkedEvent, Waiting
from services.ingest.inflight import Overloaded
from services.ingest.metrics import IngestMetrics
from services.ingest.people import StaffRule

EVENT = {
    "v": 1,
    "source": "k1",
    "message_id": "m-1",
    "type": "track",
    "received_at": "2026-11-20T10:00:00Z",
    "occurred_at": "2026-11-20T10:00:00Z",
    "body": {},
    "user_id": "u-1",
}
DEEP = b'{"body":' + b"[" * 5_000


class Store:
    """A directory that knows nobody, and remembers what was parked and of whom it was asked what may go on."""

    def __init__(self) -> None:
        self.parked: list[ParkedEvent] = []
        self.released: list[list[str]] = []

    async def find(self, _: Collection[str]) -> dict[str, Person]:
        return {}

    async def waiting_of(self, _: Collection[str], __: Collection[str]) -> dict[str, Waiting]:
        return {}

    async def releasable(self, _: int, *, most: int, users: Collection[str]) -> list[ParkedEvent]:
        assert most
        self.released.append(list(users))
        return []

    async def apply(
        self, claim: Claim, *, next_offset: int, people: Mapping[str, Person], parked: Sequence[ParkedEvent]
    ) -> Claim:
        assert all(person.accounts for person in people.values())
        self.parked += parked
        return claim._replace(next_offset=next_offset)


class Log:
    """A publisher whose broker confirms at once, with the least memory that a setting leaves it."""

    def __init__(self) -> None:
        self.events: list[Record] = []
        self.dead: list[Record] = []

    def put(self, records: Mapping[str, Sequence[Record]]) -> Delivery:
        if sum(len(one.value) for of_topic in records.values() for one in of_topic) > 10_485_760:
            raise Overloaded
        self.events += records.get("events", ())
        self.dead += records.get("dead", ())
        delivery = Delivery()
        delivery.expect(1)
        delivery.acked("events", 0, 1)
        return delivery


def no_matter() -> None:
    """Who beats is not asked here."""


def resolver_of(store: Any, log: Any) -> Resolver:
    """A resolver between them."""
    rules = ResolverRules("events", "dead", lambda key: (key.encode(), 0), 10, timedelta(days=1))
    return Resolver(
        store=store, publisher=log, staff=StaffRule(()), metrics=IngestMetrics(), rules=rules, beat=no_matter
    )


def applied(value: bytes, key: bytes = b"u-1") -> tuple[Store, Log, Claim]:
    """One record after another that is sound, on a partition that is claimed."""
    store, log = Store(), Log()
    resolver = resolver_of(store, log)
    records = [
        SimpleNamespace(topic="unresolved", partition=0, offset=number, key=key, value=one)
        for number, one in enumerate((value, json.dumps(EVENT).encode()))
    ]
    claim = asyncio.run(resolver.apply(Claim(0, uuid.uuid4(), 0), records))
    return store, log, claim


@pytest.mark.parametrize(
    "value",
    [
        *(json.dumps({**EVENT, name: "a\0b"}).encode() for name in ("user_id", "message_id", "role", "email")),
        json.dumps({**EVENT, "type": "group", "account_id": "a\0b"}).encode(),
        json.dumps({**EVENT, "user_id": "u" * 3_000}).encode(),
        json.dumps({**EVENT, "type": "identify", "role": "it", "occurred_at": "2026-11-20T10:00:00"}).encode(),
        json.dumps({**EVENT, "v": 2}).encode(),
        b'{"v":1,"source":"\xff"}',
        DEEP,
        json.dumps({**EVENT, "body": {"a": "b" * 900_000}}).encode(),
    ],
)
def test_what_the_database_cannot_hold_is_a_dead_letter(value: bytes) -> None:
    """Else each replica in turn would end at this record; the partition moves on past it."""
    store, log, claim = applied(value)
    assert [letter.value for letter in log.dead] == [value[:131_072]]
    assert [one.message_id for one in store.parked] == ["m-1"]
    assert claim.next_offset == 2


def test_a_key_that_no_batch_has_room_for_is_cut_off() -> None:
    """It would end every ingest in turn, or block the partition for ever."""
    _, log, claim = applied(b"{", key=b"k" * 900_000)
    assert [letter.key for letter in log.dead] == [b"k" * 1_020]
    assert claim.next_offset == 2


class WaitingRoom(Store):
    """A directory in which one event of each user waits, in whichever accounts these were seen."""

    def __init__(self, log: Log, body: Any = None, **accounts: tuple[str, ...]) -> None:
        super().__init__()
        self._log = log
        self._accounts = accounts
        values = [json.dumps({**EVENT, "user_id": user, "body": body or {}}).encode() for user in accounts]
        self.left = [ParkedEvent(user, "m-1", value) for user, value in zip(accounts, values, strict=True)]

    async def find(self, users: Collection[str]) -> dict[str, Person]:
        return {user: Person(self._accounts[user]) for user in users}

    async def releasable(self, _: int, *, most: int, users: Collection[str] | None = None) -> list[ParkedEvent]:
        assert users is None
        return self.left[:most]

    async def expired(self, _: int, *, age: timedelta, most: int) -> list[ParkedEvent]:
        assert age == timedelta(days=1)
        return self.left[:most]

    async def waiting(self, _: int) -> int:
        return len(self.left)

    async def remove(self, _: Claim, events: Sequence[ParkedEvent]) -> None:
        assert len(self._log.events + self._log.dead) == len(self._accounts), "produced before it is taken away"
        self.left = [one for one in self.left if one not in events]


async def test_what_waited_for_an_account_is_not_guessed_when_there_are_two() -> None:
    """It goes on under the one account of its user, else it is put aside and says why."""
    log = Log()
    store = WaitingRoom(log, one=("acme",), two=("acme", "globex"))
    await resolver_of(store, log).release(Claim(0, uuid.uuid4(), 0))
    assert [(one.key, json.loads(one.value)["user_id"]) for one in log.events] == [(b"acme", "one")]
    assert [(one.key, dict(one.headers or ())["reason"]) for one in log.dead] == [(b"two", b"account_ambiguous")]
    assert store.left == []


async def test_much_that_waited_is_sent_on_by_and_by() -> None:
    """A page of the greatest events is more than may be in memory: sent at once it would never be taken."""
    log = Log()
    accounts = {f"u-{number}": ("acme",) for number in range(50)}
    await resolver_of(WaitingRoom(log, body={"x": "y" * 250_000}, **accounts), log).release(Claim(0, uuid.uuid4(), 0))
    assert len(log.events) == 50


async def test_what_has_waited_too_long_is_put_aside() -> None:
    """With its body, and a reason that says what to send."""
    log = Log()
    store = WaitingRoom(log, kim=(), lee=())
    await resolver_of(store, log).expire(Claim(0, uuid.uuid4(), 0))
    assert [(one.key, one.value, dict(one.headers or ())["reason"]) for one in log.dead] == [
        (b"kim", b"{}", b"account_unknown"),
        (b"lee", b"{}", b"account_unknown"),
    ]
    assert store.left == []


def test_a_batch_releases_those_alone_whom_it_taught() -> None:
    """Looking through all that waits on the partition, batch after batch, would take longer than the batches come."""
    assert applied(json.dumps({**EVENT, "type": "group", "account_id": "acme"}).encode())[0].released == [["u-1"]]
    assert applied(json.dumps(EVENT).encode())[0].released == []
