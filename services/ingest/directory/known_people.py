"""The people in memory: asked of PostgreSQL when first seen, all that wait in one query; forgotten when told so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.directory.person import NOBODY, Person

log = structlog.get_logger(__name__)

# What changes is told by a notice; this bounds for how long one that was lost may matter.
_FRESH_SECONDS = 30.0
# A request does not wait longer: its events are then resolved later, and miss a learned role.
_PATIENCE_SECONDS = 0.5
_AWAY_SECONDS = 1.0
_QUERY_PEOPLE_MAX = 5_000


class PeopleSource(Protocol):
    """Where people are kept."""

    async def find(self, users: Collection[str]) -> dict[str, Person]:
        """Those of `users` that are known; raises SQLAlchemyError or OSError."""


class _Entry(NamedTuple):
    person: Person
    until: float


class KnownPeople:
    """At most `people_max` people, the oldest of whom are forgotten first."""

    def __init__(self, source: PeopleSource, *, people_max: int) -> None:
        self._source = source
        self._people_max = people_max
        self._entries: dict[str, _Entry] = {}
        self._wanted: set[str] = set()
        self._asked: frozenset[str] = frozenset()
        # Of those asked for, the ones that changed before the answer came.
        self._spoilt: set[str] = set()
        self._round: asyncio.Future[dict[str, Person]] | None = None
        self._asking: asyncio.Task[None] | None = None
        # When the questions under way began.
        self._began_at = float("inf")
        self._away_until = float("-inf")
        self._is_away = False

    async def find(self, users: Iterable[str]) -> dict[str, Person]:
        """Each of `users`, NOBODY if not known; those that could not be asked for in time are left out."""
        now = time.monotonic()
        found: dict[str, Person] = {}
        missing: list[str] = []
        for user in users:
            entry = self._entries.get(user)
            if entry is not None and entry.until > now:
                found[user] = entry.person
            else:
                missing.append(user)
        # Behind what takes longer than anybody waits for, all would wait in vain, and be asked for with it.
        if missing and now >= self._away_until and now - self._began_at < _PATIENCE_SECONDS:
            found.update(await self._ask(missing))
        return found

    def learned(self, before: Mapping[str, Person], after: Mapping[str, Person]) -> None:
        """What a confirmed request taught, unless something else was heard of the person meanwhile."""
        for user, person in after.items():
            entry = self._entries.get(user)
            if entry is not None and entry.person is before.get(user):
                self._entries[user] = _Entry(person, entry.until)

    def forget(self, user: str) -> None:
        """This person changed."""
        self._entries.pop(user, None)
        if user in self._asked:
            self._spoilt.add(user)

    def forget_all(self) -> None:
        """Any person may have changed."""
        self._entries.clear()
        self._spoilt.update(self._asked)

    async def _ask(self, missing: list[str]) -> dict[str, Person]:
        self._wanted.update(missing)
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
        waiting = self._round
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_all())
        try:
            answer = await asyncio.wait_for(asyncio.shield(waiting), _PATIENCE_SECONDS)
        except TimeoutError:
            return {}
        return {user: answer[user] for user in missing if user in answer}

    async def _ask_for_all(self) -> None:
        """One query after the other, each for everybody who is waited for by then."""
        try:
            while self._round is not None:
                self._began_at = time.monotonic()
                waiting, self._round = self._round, None
                wanted, self._wanted = self._wanted, set()
                answer: dict[str, Person] = {}
                try:
                    for users in _portions(wanted):
                        answer.update(await self._ask_source(users))
                    self._is_away = False
                except (SQLAlchemyError, OSError) as error:
                    if not self._is_away:
                        log.warning("directory_unavailable", error=type(error).__name__)
                    self._is_away = True
                    self._away_until = time.monotonic() + _AWAY_SECONDS
                waiting.set_result(answer)
        finally:
            self._asking, self._began_at = None, float("inf")

    async def _ask_source(self, users: frozenset[str]) -> dict[str, Person]:
        self._asked, self._spoilt = users, set()
        try:
            known = await self._source.find(users)
            until = time.monotonic() + _FRESH_SECONDS
            self._make_room(len(users))
            for user in users - self._spoilt:
                self._entries[user] = _Entry(known.get(user, NOBODY), until)
        finally:
            self._asked = frozenset()
        return {user: known.get(user, NOBODY) for user in users}

    def _make_room(self, needed: int) -> None:
        excess = len(self._entries) + needed - self._people_max
        if excess > 0:
            for user in list(self._entries)[: max(excess, self._people_max // 10)]:
                del self._entries[user]


def _portions(users: set[str]) -> Iterable[frozenset[str]]:
    ordered = list(users)
    for start in range(0, len(ordered), _QUERY_PEOPLE_MAX):
        yield frozenset(ordered[start : start + _QUERY_PEOPLE_MAX])
