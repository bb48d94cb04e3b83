"""Whose event is it? Real service, real Kafka, real PostgreSQL: what is known, what waits, what is never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from schemas.product_event import ProductEvent
from services.runtime.kafka import new_producer
from services.runtime.postgres import connect
from tests.integration.ingest_process import IngestProcess, running_ingest
from tests.integration.topic_reader import events_of, records_of
from tests.waiting import until

WAITING_MAX = 5
_DEADLINE_SECONDS = 60


SETTINGS = {"ingest_staff": "*@vendor.example, bot-*", "ingest_parked_events_max": WAITING_MAX}


class Log:
    """What stands in the topics and the tables of this module."""

    def __init__(self, kafka_bootstrap: str, prefix: str, database_url: str) -> None:
        self._kafka_bootstrap = kafka_bootstrap
        self._prefix = prefix
        self._database_url = database_url

    async def event(self, message_id: str) -> ProductEvent:
        """The product event with this id, once it is there."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while True:
                for event in await events_of(self._kafka_bootstrap, f"{self._prefix}product.events.v1"):
                    if event.message_id == message_id:
                        return event

    async def reason(self, needle: bytes) -> str:
        """Why the event that contains `needle` became a dead letter, once it has."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while True:
                for record in await records_of(self._kafka_bootstrap, f"{self._prefix}product.events.dead.v1"):
                    if needle in record.value:
                        return str(dict(record.headers)["reason"], "utf-8")

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        """What a query returns."""
        engine = connect(self._database_url, service="test")
        try:
            async with engine.connect() as connection:
                return list(await connection.execute(sa.text(statement), values))
        finally:
            await engine.dispose()

    async def until(self, statement: str, right: Callable[[list[Any]], bool], **values: Any) -> None:
        """Return once the rows are `right`."""

        async def are_right() -> bool:
            return right(await self.rows(statement, **values))

        await until(are_right, what=f"{statement} with {values}")


@pytest.fixture
def log(kafka_bootstrap: str, topic_prefix: str, database_url: str) -> Log:
    """The topics and tables of this module."""
    return Log(kafka_bootstrap, topic_prefix, database_url)


PARKED = "SELECT message_id FROM ingest.parked_event WHERE user_id = :user"
PERSON = "SELECT accounts, role FROM ingest.person WHERE user_id = :user"


def track(user: str, message_id: str, **fields: Any) -> dict[str, Any]:
    """An event that does not say whose it is."""
    return {"type": "track", "event": "X", "userId": user, "messageId": message_id, **fields}


def group(user: str, account: str) -> dict[str, Any]:
    """A group call."""
    return {"type": "group", "userId": user, "groupId": account, "messageId": f"group-{user}-{account}"}


def sent(service: IngestProcess, *events: dict[str, Any]) -> dict[str, Any]:
    """The answer to a batch."""
    answer = service.post("/v1/batch", {"batch": events})
    body: dict[str, Any] = answer.json()
    return body


async def test_a_group_call_teaches_the_rest_of_its_batch_and_later_requests(service: IngestProcess, log: Log) -> None:
    """In order inside a batch: what comes before it waits, and is released by it."""
    batch = [track("u-order", "before"), group("u-order", "acme"), track("u-order", "after")]
    assert sent(service, *batch)["accepted"] == 3
    assert sent(service, track("u-order", "later"))["accepted"] == 1
    for message_id in ("before", "after", "later"):
        assert (await log.event(message_id)).account_id == "acme"


async def test_an_event_waits_for_the_account_of_its_user(service: IngestProcess, log: Log) -> None:
    """Parked in PostgreSQL until the group call comes, whole and with its own id and time."""
    early = track("u-late", "waits", timestamp="2026-11-20T10:00:00Z", properties={"rows": 7})
    assert sent(service, early)["accepted"] == 1
    await log.until(PARKED, lambda rows: len(rows) == 1, user="u-late")
    sent(service, group("u-late", "globex"))
    event = await log.event("waits")
    assert (event.account_id, event.user_id, event.event) == ("globex", "u-late", "X")
    assert b'"rows": 7' in bytes(event.body)
    assert event.occurred_at.isoformat() == "2026-11-20T10:00:00+00:00"
    await log.until(PARKED, lambda rows: not rows, user="u-late")


async def test_a_user_of_two_accounts_is_never_guessed(service: IngestProcess, log: Log) -> None:
    """At the door as soon as it is known there; events that name their account are taken as ever."""
    sent(service, group("u-two", "acme"), track("u-two", "two-1", context={"groupId": "globex"}))
    await log.until(PERSON, lambda rows: bool(rows) and len(rows[0].accounts) == 2, user="u-two")
    answer = sent(service, track("u-two", "two-2"), track("u-two", "two-3", context={"groupId": "acme"}))
    assert [(error["message_id"], error["code"]) for error in answer["errors"]] == [("two-2", "account_ambiguous")]
    assert "context.groupId" in answer["errors"][0]["message"]
    assert await log.reason(b'"two-2"') == "account_ambiguous"
    assert (await log.event("two-3")).account_id == "acme"


async def test_beyond_the_limit_an_event_becomes_a_dead_letter(service: IngestProcess, log: Log) -> None:
    """It is counted, and says what to do; what waits already goes on to wait."""
    sent(service, *(track("u-many", f"many-{number}") for number in range(WAITING_MAX + 1)))
    assert await log.reason(f'"many-{WAITING_MAX}"'.encode()) == "account_unknown"
    await log.until(PARKED, lambda rows: len(rows) == WAITING_MAX, user="u-many")
    assert service.metric("firstvalue_ingest_resolver_events_total", outcome="dead", reason="account_unknown") >= 1


async def test_roles_and_staff_stick_to_people(service: IngestProcess, log: Log) -> None:
    """Learned from identify calls, with or without an account; an event's own words come first."""
    traits = {"role": "champion", "email": "kim@vendor.example"}
    sent(service, {"type": "identify", "userId": "u-role", "traits": traits})
    await log.until(PERSON, lambda rows: bool(rows) and rows[0].role == "champion", user="u-role")
    own = {"groupId": "acme", "traits": {"role": "it", "email": "kim@customer.example"}}
    sent(service, track("u-role", "role-1", context={"groupId": "acme"}), track("u-role", "role-2", context=own))
    sent(service, track("bot-7", "role-3", context={"groupId": "acme"}))
    first, second, third = [await log.event(f"role-{number}") for number in (1, 2, 3)]
    assert (first.role, first.staff) == ("champion", True)
    assert (second.role, second.staff) == ("it", False)
    assert third.staff


async def test_erasing_empties_the_directory(service: IngestProcess, log: Log) -> None:
    """Of an account: its people. Of a person: what is known of it and what waits for it."""
    sent(
        service, group("u-gone-1", "gone"), group("u-gone-2", "gone"), group("u-both", "gone"), group("u-both", "stays")
    )
    sent(service, track("u-erased", "erased-1"))
    await log.until(PARKED, lambda rows: len(rows) == 1, user="u-erased")
    await log.until(PERSON, lambda rows: bool(rows) and len(rows[0].accounts) == 2, user="u-both")
    commands = [
        {"command": "erase", "account_id": "gone"},
        {"command": "erase_person", "account_id": "any", "user_id": "u-erased"},
    ]
    assert service.post("/v1/commands", commands).status_code == 200
    await log.until("SELECT 1 FROM ingest.person WHERE 'gone' = ANY(accounts)", lambda rows: not rows)
    await log.until(PARKED, lambda rows: not rows, user="u-erased")
    assert [list(row.accounts) for row in await log.rows(PERSON, user="u-both")] == [["stays"]]
    # Memory forgets as well: the next event of the person waits for a new group call.
    async with asyncio.timeout(_DEADLINE_SECONDS):
        number = 0
        while not await log.rows(PARKED, user="u-gone-1"):
            number += 1
            sent(service, track("u-gone-1", f"gone-{number}"))


async def test_what_the_resolver_cannot_read_is_put_aside(
    service: IngestProcess, log: Log, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """With its origin in the headers; the partition moves on."""
    producer = new_producer(kafka_bootstrap, client_id="test")
    await producer.start()
    try:
        for value in (b'{"v":1}poison', b'{"v":99}'):
            await producer.send_and_wait(f"{topic_prefix}product.events.unresolved.v1", value, key=b"x", partition=0)
    finally:
        await producer.stop()
    assert await log.reason(b"poison") == "record_invalid"
    sent(service, *(group(f"u-p{number}", "acme") for number in range(12)))
    for number in range(12):
        await log.until(PERSON, lambda rows: bool(rows), user=f"u-p{number}")


async def test_a_restart_knows_what_was_learned(service: IngestProcess, log: Log, tmp_path: Path) -> None:
    """The map is in PostgreSQL, not in a process: another replica resolves at the door."""
    sent(service, group("u-kept", "acme"))
    await log.until(PERSON, lambda rows: bool(rows), user="u-kept")
    with running_ingest(service.environment, tmp_path) as other:
        assert sent(other, track("u-kept", "kept-1"))["accepted"] == 1
        assert other.metric("firstvalue_ingest_events_total", outcome="accepted") == 1
    assert (await log.event("kept-1")).account_id == "acme"
