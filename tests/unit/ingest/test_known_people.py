"""People in memory: asked for together, forgotten when told, and no answer at all rather than a wrong one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from services.ingest.directory import known_people
from services.ingest.directory.known_people import KnownPeople
from services.ingest.directory.person import NOBODY, Person

ACME = Person(("acme",))


class Source:
    """Answers when it is let, and counts how often it was asked."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {"u-1": ACME}
        self.asked: list[set[str]] = []
        self.let = asyncio.Event()
        self.away = False

    async def find(self, users: Collection[str]) -> dict[str, Person]:
        """What is stored when the question comes."""
        self.asked.append(set(users))
        found = {user: self.people[user] for user in users if user in self.people}
        await self.let.wait()
        if self.away:
            raise OperationalError("SELECT", {}, ConnectionRefusedError())
        return found


def new_people(*, people_max: int = 1_000, open_: bool = True) -> tuple[KnownPeople, Source]:
    """A memory over a source that answers at once, or when its `let` is set."""
    source = Source()
    if open_:
        source.let.set()
    return KnownPeople(source, people_max=people_max), source


async def test_a_person_is_asked_for_once() -> None:
    """Also one that nobody knows."""
    people, source = new_people()
    for _ in range(3):
        assert await people.find({"u-1", "u-2"}) == {"u-1": ACME, "u-2": NOBODY}
    assert source.asked == [{"u-1", "u-2"}]


async def test_all_that_wait_share_a_query() -> None:
    """The second query is for everybody who came during the first."""
    people, source = new_people(open_=False)
    first = asyncio.create_task(people.find({"u-0"}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(people.find({f"u-{number}"})) for number in range(1, 20)]
    await asyncio.sleep(0)
    source.let.set()
    await asyncio.gather(first, *others)
    assert [len(users) for users in source.asked] == [1, 19]


async def test_what_changed_while_it_was_asked_for_is_not_kept() -> None:
    """The answer may be from before the change."""
    people, source = new_people(open_=False)
    asking = asyncio.create_task(people.find({"u-1"}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert source.asked
    source.people["u-1"] = Person(("acme", "globex"))
    people.forget("u-1")
    source.let.set()
    await asking
    assert (await people.find({"u-1"}))["u-1"].ambiguous


async def test_a_database_that_is_away_leaves_out_whom_it_was_asked_for() -> None:
    """Nobody is taken for unknown; it is not asked again at once; those in memory are known as ever."""
    people, source = new_people()
    await people.find({"u-1"})
    source.away = True
    assert await people.find({"u-1", "u-2"}) == {"u-1": ACME}
    assert await people.find({"u-2"}) == {}
    assert len(source.asked) == 2


async def test_nobody_waits_behind_a_question_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is kept to be asked for later: a database that freezes would slow all down, and fill the memory."""
    monkeypatch.setattr(known_people, "_PATIENCE_SECONDS", 0.01)
    people, source = new_people(open_=False)
    assert await people.find({"u-1"}) == {}
    later = people.find({"u-2"})
    with pytest.raises(StopIteration) as returned:
        later.send(None)
    assert returned.value.value == {}
    monkeypatch.undo()
    source.let.set()
    assert await people.find({"u-3"}) == {"u-3": NOBODY}
    assert source.asked == [{"u-1"}, {"u-3"}]


async def test_a_database_that_is_away_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And once more when it goes away again: an outage of hours is no line a second."""
    monkeypatch.setattr(known_people, "_AWAY_SECONDS", 0.0)
    people, source = new_people()
    with capture_logs() as lines:
        for source.away in (True, True, True, False, True):
            await people.find({f"u-{len(source.asked)}"})
    assert [line["event"] for line in lines] == ["directory_unavailable"] * 2


async def test_what_a_request_taught_is_known_to_the_next_one() -> None:
    """Unless something else was heard meanwhile."""
    people, _ = new_people()
    before = await people.find({"u-2", "u-3"})
    people.forget("u-3")
    people.learned(before, {"u-2": ACME, "u-3": ACME})
    assert await people.find({"u-2", "u-3"}) == {"u-2": ACME, "u-3": NOBODY}


async def test_memory_is_bounded() -> None:
    """The oldest go first."""
    people, source = new_people(people_max=1_000)
    for start in range(0, 5_000, 100):
        await people.find({f"u-{number}" for number in range(start, start + 100)})
    assert len(people._entries) <= 1_000
    asked = len(source.asked)
    await people.find({"u-4999"})
    assert len(source.asked) == asked
