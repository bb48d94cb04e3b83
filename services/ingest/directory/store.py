"""The directory in PostgreSQL: people, events that wait for their account, and one stamp per partition of both."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.directory.person import Person

PEOPLE_CHANNEL: Final = "ingest_people"

_FIND = sa.text(
    "SELECT user_id, accounts, role, role_at, email, email_at FROM ingest.person"
    " WHERE user_id = ANY(CAST(:users AS text[]))"
)
_CLAIM = sa.text(
    "INSERT INTO ingest.resolver (partition, stamp, next_offset) VALUES (:partition, :stamp, 0)"
    " ON CONFLICT (partition) DO UPDATE SET stamp = excluded.stamp RETURNING next_offset"
)
_ADVANCE = sa.text(
    "UPDATE ingest.resolver SET next_offset = :next_offset WHERE partition = :partition AND stamp = :stamp"
)
_LEARN = sa.text(
    "INSERT INTO ingest.person (user_id, partition, accounts, role, role_at, email, email_at)"
    " SELECT user_id, :partition, accounts, role, role_at, email, email_at"
    " FROM jsonb_to_recordset(CAST(:people AS jsonb))"
    " AS p(user_id text, accounts text[], role text, role_at timestamptz, email text, email_at timestamptz)"
    " ON CONFLICT (user_id) DO UPDATE SET accounts = excluded.accounts, role = excluded.role,"
    " role_at = excluded.role_at, email = excluded.email, email_at = excluded.email_at"
)
_PARK = sa.text(
    "INSERT INTO ingest.parked_event (user_id, message_id, partition, value, log_offset)"
    " SELECT user_id, message_id, :partition, value, log_offset"
    " FROM unnest(CAST(:users AS text[]), CAST(:ids AS text[]), CAST(:values AS bytea[]), CAST(:offsets AS bigint[]))"
    " AS e(user_id, message_id, value, log_offset)"
    " ON CONFLICT DO NOTHING"
)
_WAITING_OF = sa.text(
    "SELECT user_id, count(*), array_agg(message_id) FILTER (WHERE message_id = ANY(CAST(:ids AS text[])))"
    " FROM ingest.parked_event WHERE user_id = ANY(CAST(:users AS text[])) GROUP BY user_id"
)
_RELEASABLE = sa.text(
    "SELECT e.user_id, e.message_id, e.value FROM ingest.parked_event e JOIN ingest.person p USING (user_id)"
    " WHERE e.partition = :partition AND cardinality(p.accounts) > 0 ORDER BY e.parked_at LIMIT :most"
)
_RELEASABLE_OF = sa.text(
    "SELECT user_id, message_id, value FROM ingest.parked_event"
    " WHERE partition = :partition AND user_id = ANY(CAST(:users AS text[])) ORDER BY parked_at LIMIT :most"
)
_EXPIRED = sa.text(
    "SELECT user_id, message_id, value FROM ingest.parked_event"
    " WHERE partition = :partition AND parked_at < now() - CAST(:age AS interval) ORDER BY parked_at LIMIT :most"
)
_REMOVE = sa.text(
    "DELETE FROM ingest.parked_event e"
    " USING unnest(CAST(:users AS text[]), CAST(:ids AS text[])) AS d(user_id, message_id)"
    " WHERE e.user_id = d.user_id AND e.message_id = d.message_id"
)
_WAITING = sa.text("SELECT count(*) FROM ingest.parked_event WHERE partition = :partition")
_PEOPLE_OF_ACCOUNT = sa.text(
    "SELECT user_id FROM ingest.person WHERE partition = :partition AND accounts @> ARRAY[CAST(:account AS text)]"
)
_LEAVE_ACCOUNT = sa.text(
    "UPDATE ingest.person SET accounts = array_remove(accounts, CAST(:account AS text))"
    " WHERE user_id = ANY(CAST(:users AS text[])) AND cardinality(accounts) > 1"
)
_FORGET_EVENTS_OF_ACCOUNT = sa.text(
    "DELETE FROM ingest.parked_event WHERE user_id IN (SELECT user_id FROM ingest.person"
    " WHERE user_id = ANY(CAST(:users AS text[])) AND accounts = ARRAY[CAST(:account AS text)])"
)
_FORGET_PEOPLE_OF_ACCOUNT = sa.text(
    "DELETE FROM ingest.person WHERE user_id = ANY(CAST(:users AS text[])) AND accounts = ARRAY[CAST(:account AS text)]"
)
_FORGET_EVENTS = sa.text("DELETE FROM ingest.parked_event WHERE user_id = :user")
_FORGET_PERSON = sa.text("DELETE FROM ingest.person WHERE user_id = :user")
_TELL = sa.text("SELECT pg_notify(:channel, user_id) FROM unnest(CAST(:users AS text[])) AS user_id")


class Superseded(Exception):
    """Another resolver has claimed the partition since; nothing was written."""


class Claim(NamedTuple):
    """The right to write one partition of the directory, until somebody else claims it."""

    partition: int
    stamp: uuid.UUID
    next_offset: int


class ParkedEvent(NamedTuple):
    """An event that waits; `value` is its UnresolvedEvent as it was on the topic, at `offset`."""

    user_id: str
    message_id: str
    value: bytes
    offset: int = 0


class Waiting(NamedTuple):
    """How many events of a user wait, and which of those that were asked about are among them."""

    events: int = 0
    message_ids: frozenset[str] = frozenset()


class DirectoryStore:
    """Reads and writes; raises SQLAlchemyError or OSError while the database is away.

    Each write is one transaction that begins with the stamp of its claim, so that an owner of before, however late it
    wakes up, writes nothing: it raises Superseded.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, users: Collection[str]) -> dict[str, Person]:
        """Those of `users` that are known."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_FIND, {"users": list(users)})
            return {row[0]: Person(tuple(row[1]), *row[2:]) for row in rows}

    async def claim(self, partition: int) -> Claim:
        """Become the owner of `partition`, wherever it was before."""
        stamp = uuid.uuid4()
        async with self._engine.begin() as connection:
            row = (await connection.execute(_CLAIM, {"partition": partition, "stamp": stamp})).one()
        return Claim(partition, stamp, row.next_offset)

    async def apply(
        self, claim: Claim, *, next_offset: int, people: Mapping[str, Person], parked: Sequence[ParkedEvent]
    ) -> Claim:
        """Write what a batch of the log decided, and that the log was read up to `next_offset`."""
        async with self._engine.begin() as connection:
            moved = await _advance(connection, claim, next_offset)
            if people:
                rows = [{"user_id": user, **msgspec.to_builtins(person)} for user, person in people.items()]
                document = msgspec.json.encode(rows).decode()
                await connection.execute(_LEARN, {"partition": claim.partition, "people": document})
                await _tell(connection, list(people))
            if parked:
                columns = {
                    "users": [event.user_id for event in parked],
                    "ids": [event.message_id for event in parked],
                    "values": [event.value for event in parked],
                    "offsets": [event.offset for event in parked],
                }
                await connection.execute(_PARK, {"partition": claim.partition, **columns})
        return moved

    async def forget_account(self, claim: Claim, account_id: str, *, next_offset: int) -> Claim:
        """Erase an account: its people and what waits for them; who was seen elsewhere too is kept for there."""
        async with self._engine.begin() as connection:
            moved = await _advance(connection, claim, next_offset)
            place: dict[str, Any] = {"partition": claim.partition, "account": account_id}
            users = list((await connection.execute(_PEOPLE_OF_ACCOUNT, place)).scalars())
            if users:
                given = {"users": users, "account": account_id}
                await connection.execute(_FORGET_EVENTS_OF_ACCOUNT, given)
                await connection.execute(_FORGET_PEOPLE_OF_ACCOUNT, given)
                await connection.execute(_LEAVE_ACCOUNT, given)
                await _tell(connection, users)
        return moved

    async def forget_person(self, claim: Claim, user_id: str, *, next_offset: int) -> Claim:
        """Erase one person, and what waits for it."""
        async with self._engine.begin() as connection:
            moved = await _advance(connection, claim, next_offset)
            await connection.execute(_FORGET_EVENTS, {"user": user_id})
            await connection.execute(_FORGET_PERSON, {"user": user_id})
            await _tell(connection, [user_id])
        return moved

    async def waiting_of(self, users: Collection[str], message_ids: Collection[str]) -> dict[str, Waiting]:
        """What waits of each of `users` that has any, and what of it is among `message_ids`."""
        asked = {"users": list(users), "ids": list(message_ids)}
        async with self._engine.connect() as connection:
            rows = await connection.execute(_WAITING_OF, asked)
            return {row[0]: Waiting(row[1], frozenset(row[2] or ())) for row in rows}

    async def releasable(self, partition: int, *, most: int, users: Collection[str] | None = None) -> list[ParkedEvent]:
        """Events that wait although their user is known by now, oldest first; or those of `users`, who are."""
        asked: dict[str, Any] = {"partition": partition, "most": most}
        if users is not None:
            asked["users"] = list(users)
        async with self._engine.connect() as connection:
            rows = await connection.execute(_RELEASABLE if users is None else _RELEASABLE_OF, asked)
            return [ParkedEvent(row[0], row[1], bytes(row[2])) for row in rows]

    async def expired(self, partition: int, *, age: timedelta, most: int) -> list[ParkedEvent]:
        """Events that have waited longer than `age`, oldest first."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_EXPIRED, {"partition": partition, "age": age, "most": most})
            return [ParkedEvent(row[0], row[1], bytes(row[2])) for row in rows]

    async def remove(self, claim: Claim, events: Sequence[ParkedEvent]) -> None:
        """Take away events that wait no more."""
        async with self._engine.begin() as connection:
            await _advance(connection, claim, claim.next_offset)
            columns = {"users": [one.user_id for one in events], "ids": [one.message_id for one in events]}
            await connection.execute(_REMOVE, columns)

    async def waiting(self, partition: int) -> int:
        """How many events wait on `partition`."""
        async with self._engine.connect() as connection:
            return int(await connection.scalar(_WAITING, {"partition": partition}) or 0)


async def _advance(connection: AsyncConnection, claim: Claim, next_offset: int) -> Claim:
    given = {"partition": claim.partition, "stamp": claim.stamp, "next_offset": next_offset}
    if (await connection.execute(_ADVANCE, given)).rowcount != 1:
        raise Superseded
    return claim._replace(next_offset=next_offset)


async def _tell(connection: AsyncConnection, users: list[str]) -> None:
    await connection.execute(_TELL, {"channel": PEOPLE_CHANNEL, "users": users})
