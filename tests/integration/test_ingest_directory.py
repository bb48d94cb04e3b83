"""The directory in a real PostgreSQL: one writer per partition, whoever wakes up late, and what ends a wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.directory.person import Person
from services.ingest.directory.store import Claim, DirectoryStore, ParkedEvent, Superseded, Waiting
from services.runtime.postgres import connect
from tests.migrated import migrate

KIM = Person(("acme",), "champion")


@pytest.fixture(scope="module")
def migrated(database_url: str) -> str:
    """A database with ingest's schema."""
    migrate(database_url, "ingest")
    return database_url


@pytest.fixture
async def engine(migrated: str) -> AsyncIterator[AsyncEngine]:
    """A pool of the test alone."""
    engine = connect(migrated, service="test")
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> DirectoryStore:
    """The directory."""
    return DirectoryStore(engine)


def parked(user: str, number: int) -> ParkedEvent:
    """An event that waits."""
    return ParkedEvent(user, f"{user}-{number}", b"{}")


async def write(store: DirectoryStore, claim: Claim, *events: ParkedEvent, **people: Person) -> Claim:
    """One batch."""
    return await store.apply(claim, next_offset=claim.next_offset + 1, people=people, parked=events)


async def counts(store: DirectoryStore, *users: str) -> dict[str, int]:
    """How many events of each wait."""
    return {user: waiting.events for user, waiting in (await store.waiting_of(users, ())).items()}


async def test_an_owner_of_before_writes_nothing(store: DirectoryStore) -> None:
    """Neither people nor events nor its place nor erasures nor releases: the claim of another one ended its own."""
    old = await write(store, await store.claim(1), parked("waits", 1))
    new = await store.claim(1)
    assert new.next_offset == old.next_offset == 1
    for late in (
        write(store, old, parked("late", 1), late=KIM),
        store.forget_account(old, "acme", next_offset=9),
        store.forget_person(old, "waits", next_offset=9),
        store.remove(old, [parked("waits", 1)]),
    ):
        with pytest.raises(Superseded):
            await late
    assert await store.find(["late"]) == {}
    assert await counts(store, "late", "waits") == {"waits": 1}
    assert (await store.claim(1)).next_offset == 1


async def test_of_two_that_claim_at_once_one_goes_on(store: DirectoryStore) -> None:
    """Whichever was later in the database."""
    claims = await asyncio.gather(*(store.claim(2) for _ in range(8)))
    results = await asyncio.gather(*(write(store, claim, u=KIM) for claim in claims), return_exceptions=True)
    assert sum(isinstance(result, Claim) for result in results) == 1
    assert sum(isinstance(result, Superseded) for result in results) == 7


async def test_what_is_written_twice_is_there_once(store: DirectoryStore) -> None:
    """A batch that is read again after a crash."""
    claim = await store.claim(3)
    for _ in range(2):
        claim = await write(store, claim, parked("twice", 1), parked("twice", 2), twice=KIM)
    assert await store.find(["twice", "nobody"]) == {"twice": KIM}
    assert await counts(store, "twice") == {"twice": 2}
    assert await store.waiting_of(["twice"], ["twice-2", "twice-3"]) == {"twice": Waiting(2, frozenset({"twice-2"}))}


async def test_what_waits_is_released_by_an_account_and_ended_by_its_age(store: DirectoryStore) -> None:
    """Of this partition alone; somebody of whom only the role is known waits on."""
    claim = await store.claim(4)
    claim = await write(store, claim, parked("known", 1), parked("role", 1), known=KIM, role=Person(role="it"))
    assert [event.user_id for event in await store.releasable(4, most=10)] == ["known"]
    assert [event.user_id for event in await store.releasable(4, most=10, users=["known"])] == ["known"]
    assert await store.releasable(4, most=10, users=["somebody else"]) == []
    assert await store.expired(4, age=timedelta(days=1), most=10) == []
    assert len(await store.expired(4, age=timedelta(0), most=10)) == 2
    assert await store.expired(5, age=timedelta(0), most=10) == []
    await store.remove(claim, await store.releasable(4, most=10))
    assert await store.waiting(4) == 1


async def test_erasing_an_account_leaves_those_who_are_elsewhere_too(store: DirectoryStore) -> None:
    """What is left of an ambiguous person is a person of the other account; events of the erased go."""
    claim = await store.claim(6)
    claim = await write(
        store,
        claim,
        parked("only", 1),
        only=Person(("gone",)),
        both=Person(("gone", "stays"), "it"),
        other=Person(("stays",)),
    )
    claim = await store.forget_account(claim, "gone", next_offset=claim.next_offset + 1)
    assert await store.find(["only", "both", "other"]) == {
        "both": Person(("stays",), "it"),
        "other": Person(("stays",)),
    }
    assert await counts(store, "only") == {}
    await store.forget_person(claim, "both", next_offset=claim.next_offset + 1)
    assert set(await store.find(["only", "both", "other"])) == {"other"}
