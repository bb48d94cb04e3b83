"""What is erased is in no dump of the database, wherever it was planted, and no replay brings it back."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.local.postgres import binaries
from schemas.timestamps import to_rfc3339
from services.activation_engine.domain.encoding import decode
from tests.fakes.engine_process import EngineProcess
from tests.fakes.engine_records import now_ms
from tests.fakes.engine_room import EngineRoom, engine_room
from tests.fakes.receiver import Received, Receiver
from tests.running_notifier import NotifierClient, Servers, prepare, running
from tests.waiting import until

ACCOUNT, OTHER = "mark-account-3f1c", "bystander-77aa"
PERSON, EMAIL = "mark-user-9b2e", "mark-mail-5d4f@acme.example"
# Where each is kept before the erasure, at the least.
MARKERS = {
    "account id": ACCOUNT,
    "account name": "mark-name-1c77",
    "owner": "mark-owner-8e21",
    "trait": "mark-trait-4a90",
    "user id": PERSON,
    "e-mail": EMAIL,
    "event property": "mark-property-2b6d",
    "dead letter": "mark-letter-6e05",
    "webhook answer": "mark-answer-0c3a",
    "audit": "mark-audit-7d7d",
}
SETTINGS = {"FIRSTVALUE_ENGINE_SIGNAL_TRAITS": "crm_id"}

pytestmark = pytest.mark.timeout(180)


class Erasing:
    """An engine and a notifier on one database, and a receiver that repeats what it gets."""

    def __init__(self, room: EngineRoom, notifier: NotifierClient, receiver: Receiver) -> None:
        self.room = room
        self.notifier = notifier
        self.receiver = receiver
        self.engine: EngineProcess = room.start(**SETTINGS)

    async def restart_engine_from_the_beginning(self) -> None:
        """As a replay would: the lease begins again at the log's first record."""
        self.engine.signal(signal.SIGTERM)
        assert await self.engine.end() == 0
        await self.room.database.execute("UPDATE activation.partition_lease SET next_offset = 0, last_append_ms = NULL")
        self.engine = self.room.start(**SETTINGS)
        await until(self.room.caught_up, what="the whole log applied again")

    async def record(self, account: str, kind: str, name: str | None, body: Any, *, user: str | None = PERSON) -> None:
        """Append a record of any type."""
        moment = to_rfc3339(now_ms())
        value = {
            "v": 1, "source": "test", "message_id": f"{kind}-{name}-{now_ms()}", "type": kind, "account_id": account,
            "user_id": user, "event": name, "received_at": moment, "occurred_at": moment, "body": body,
        }  # fmt: skip
        part = self.room.part_of(account)
        await self.room.append(part, key=account.encode(), value=msgspec.json.encode(value))

    async def live(self, account: str) -> None:
        """A customer's first days: traits, people, events, and records that cannot be applied."""
        traits = {"name": MARKERS["account name"], "owner": MARKERS["owner"], "crm_id": MARKERS["trait"]}
        await self.record(account, "command", "set", {"traits": traits}, user=None)
        await self.record(account, "identify", None, {"traits": {"email": EMAIL}})
        for name in ("Data Imported", "Report Made"):
            await self.record(account, "track", name, {"properties": {"of": MARKERS["event property"]}})
            await self.record(account, "track", name, {}, user=EMAIL)
        broken = {"of": MARKERS["event property"], "text": MARKERS["dead letter"], "user_id": PERSON, "by": EMAIL}
        await self.record(account, "command", "no such command", broken)
        report = {"differences": [{"account": account, "found": f'{{"people": "{PERSON} {MARKERS["audit"]}"}}'}]}
        await self.room.database.execute(
            "INSERT INTO activation.job (id, kind, state, result, requested_by)"
            " VALUES (gen_random_uuid(), 'audit', 'done', $1, 'test')",
            msgspec.json.encode(report).decode(),
        )

    async def erased(self) -> bool:
        """Whether nothing is left to blank; ticks drive the engine there."""
        await self.room.tick()
        left = await self.room.database.fetchval(
            "SELECT (SELECT count(*) FROM activation.tombstone) > 0 AND (SELECT count(*) FROM notifier.tombstone) > 0"
            " AND NOT EXISTS (SELECT 1 FROM activation.ledger WHERE type = 'account.erased' AND payload IS NOT NULL)"
            " AND NOT EXISTS (SELECT 1 FROM notifier.message WHERE type = 'account.erased' AND body <> '')"
        )
        return bool(left)

    async def found(self, wanted: Mapping[str, str]) -> set[str]:
        """Which of these stand in a dump of the whole database, as text or in the bytes of a column."""
        command = [str(binaries() / "pg_dump"), "--dbname", self.room.database_url]
        done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        return {
            name
            for name, text in wanted.items()
            if text.encode() in done.stdout or text.encode().hex().encode() in done.stdout
        }


@pytest.fixture
async def erasing(
    fresh_database: Any, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Erasing]:
    word = request.node.name.split("_")[3]
    servers = Servers(await asyncio.to_thread(fresh_database, word), kafka_bootstrap, f"{topic_prefix}{word}.")
    places = {"database_url": servers.database_url, "kafka": kafka_bootstrap, "prefix": servers.topic_prefix}
    async with (
        engine_room(**places, folder=tmp_path, parts=2) as room,
        Receiver(behaviour=repeat) as receiver,
    ):
        await prepare(servers)
        await room.publish_plan()
        async with running(servers, retry_schedule_seconds=(600.0,)) as notifier:
            yield Erasing(room, notifier, receiver)


async def repeat(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with what was sent, and a word of one's own about the account; at `/down` refuse it."""
    word = MARKERS["webhook answer"] if ACCOUNT.encode() in request.body else ""
    body = request.body + word.encode()
    status = 500 if request.path == "/down" else 200
    writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
    await writer.drain()


async def delivered(erasing: Erasing, account: str) -> bool:
    """Whether one endpoint has answered to everything about the account, the other to something, the third holds."""
    await erasing.room.tick()
    row = await erasing.room.database.fetchrow(
        "SELECT count(*) FILTER (WHERE d.status = 'succeeded') AS good, count(*) FILTER (WHERE d.failures > 0) AS bad,"
        " count(*) FILTER (WHERE d.status = 'held') AS held, (SELECT count(*) FROM activation.dead_letter) AS letters"
        " FROM notifier.message m JOIN notifier.delivery d ON d.message_id = m.id WHERE m.account_id = $1",
        account,
    )
    assert row is not None
    return bool(row["good"] >= 3 and row["bad"] >= 1 and row["held"] >= 1 and row["letters"] >= 1)


async def test_an_erased_account_is_in_no_dump_and_no_replay_brings_it_back(erasing: Erasing) -> None:
    """Subscribers are told; of the account a hash, numbers and times remain; another account is untouched."""
    for path in ("/hook", "/down", "/off"):
        endpoint = await erasing.notifier.add_endpoint(erasing.receiver.url(path))
    await erasing.notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/disable")
    await erasing.live(ACCOUNT)
    await erasing.record(OTHER, "track", "Data Imported", {}, user="eve")
    await until(lambda: delivered(erasing, ACCOUNT), what="signals delivered, failed and held")
    assert await erasing.found(MARKERS) == set(MARKERS), "what was planted is there"
    numbers = await erasing.room.database.fetch("SELECT part, seq, id FROM activation.ledger ORDER BY part, seq")

    await erasing.room.command(ACCOUNT, "erase")
    await until(lambda: told(erasing), what="the erasure announced at the endpoint that is up")
    for endpoint in (await erasing.notifier.ask("GET", "/v1/endpoints"))["data"]:
        await erasing.notifier.ask("DELETE", f"/v1/endpoints/{endpoint['id']}", status=204)
    await until(erasing.erased, what="everything blanked")
    assert await erasing.found(MARKERS) == set()

    received = len(erasing.receiver.received)
    await erasing.restart_engine_from_the_beginning()
    await until(erasing.erased, what="ticks applied after the replay")
    assert await erasing.found(MARKERS) == set()
    rows = await erasing.room.database.fetch("SELECT part, seq, id FROM activation.ledger ORDER BY part, seq")
    assert {row["id"] for row in numbers} <= {row["id"] for row in rows}
    stored = await erasing.room.database.fetch("SELECT account_id FROM activation.account")
    assert [row["account_id"] for row in stored] == [OTHER]
    assert len(erasing.receiver.received) == received


async def told(erasing: Erasing) -> bool:
    await erasing.room.tick()
    types = [msgspec.json.decode(one.body)["type"] for one in erasing.receiver.received if one.path == "/hook"]
    return "account.erased" in types


async def test_an_erased_person_is_in_no_dump_and_goes_on_to_count(erasing: Erasing) -> None:
    """Milestones keep their times, and as many people are known as before; also after a replay."""
    people = {"user id": PERSON, "e-mail": EMAIL}
    await erasing.live(OTHER)
    await until(erasing.room.caught_up, what="all applied")
    assert await erasing.found(people) == set(people)
    before = await standing(erasing)
    for person in people.values():
        await erasing.room.command(OTHER, "erase_person", user_id=person)
    await until(erasing.room.caught_up, what="the commands applied")
    assert await erasing.found(people) == set()
    assert await standing(erasing) == before
    await erasing.restart_engine_from_the_beginning()
    assert await erasing.found(people) == set()
    assert await standing(erasing) == before


async def standing(erasing: Erasing) -> tuple[object, int]:
    """When the milestones were reached, and how many people are known."""
    row = await erasing.room.database.fetchrow(
        "SELECT facts, reached FROM activation.account JOIN activation.account_plan USING (account_id)"
        " WHERE account_id = $1",
        OTHER,
    )
    assert row is not None
    state = decode(OTHER, row["facts"])
    return msgspec.json.decode(row["reached"]), sum(len(one.people) for one in state.facts.activity.values())
