"""What the notifier forgets when it is told that an account was erased, and what it must not forget."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.erasure import pseudonym
from services.notifier.claimer import Deliverer
from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import Answer, Result, Status
from services.notifier.sender.request import Recipient
from services.notifier.store.deliveries import DeliveryStore
from services.notifier.store.intake import IntakeStore, Message, Owed
from services.notifier.store.queue import Claimed, QueueStore
from services.notifier.store.upkeep import UpkeepStore
from services.runtime.postgres import connect
from tests.notifier_tables import add_endpoint, outcome
from tests.running_notifier import Servers, query
from tests.unit.notifier.test_dispatcher import recipient

ENDPOINT = "ep_one"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def surroundings(surroundings: Servers) -> Servers:
    """With one endpoint."""
    await add_endpoint(surroundings, ENDPOINT)
    return surroundings


@pytest_asyncio.fixture
async def database(surroundings: Servers) -> AsyncIterator[AsyncEngine]:
    """An empty queue."""
    tables = ("message", "delivery", "attempt", "dead_letter", "tombstone")
    await query(surroundings, f"TRUNCATE {', '.join(f'notifier.{table}' for table in tables)}")
    engine = connect(surroundings.database_url, service="test")
    yield engine
    await engine.dispose()


def signal(name: str, seq: int | None, *, account: str = "acme", erased: bool = False) -> Message:
    body = b'{"account":{"id":"%s"}}' % account.encode()
    return Message(name, "account.erased" if erased else "account.stalled", account, "live", "00-ab-cd-01", body, seq)


async def take_in(database: AsyncEngine, messages: Sequence[Message], *, hold: str | None = None) -> set[str]:
    """As intake does with one batch; which were new."""
    async with IntakeStore(database, topic="signals").batch() as batch:
        new = await batch.add_messages(messages)
        await batch.add_deliveries([Owed(one, ENDPOINT, hold) for one in messages if one.id in new])
    return new


async def claim(database: AsyncEngine) -> dict[str, Claimed]:
    return {one.message_id: one for one in await QueueStore(database, lease_seconds=30).claim({})}


async def record(database: AsyncEngine, claimed: Claimed, status: Status = Status.SUCCEEDED) -> bool:
    """An answer that repeats what was sent; whether it was late."""
    answer = replace(outcome(claimed, status), response=claimed.body, error="acme said no")
    return bool((await QueueStore(database, lease_seconds=30).record([answer], GateChanges())).late)


async def standing(servers: Servers) -> dict[str, tuple[str, bool]]:
    """By message: the delivery's status, and whether there is a body."""
    rows = await query(
        servers,
        """SELECT m.id, d.status, m.body <> '' AS whole FROM notifier.message m
        JOIN notifier.delivery d ON d.message_id = m.id""",
    )
    return {row["id"]: (row["status"], row["whole"]) for row in rows}


async def answers(servers: Servers) -> set[bytes | None]:
    return {row["response"] for row in await query(servers, "SELECT response FROM notifier.attempt")}


async def test_what_was_claimed_before_an_erasure_is_not_sent_after_it(
    surroundings: Servers, database: AsyncEngine
) -> None:
    """A slow endpoint's deliveries wait in memory with their bodies; what is asked for before each is its lease."""
    await take_in(database, [signal("claimed", 1), signal("other", 2, account="acme2")])
    claims = await claim(database)
    await take_in(database, [signal("notice", 3, erased=True)])
    sent: list[str] = []

    async def attempt(delivery: Claimed, _: Recipient) -> Any:
        sent.append(delivery.message_id)
        return SimpleNamespace(answer=Answer(result=Result.HTTP_2XX))

    async def put(_: Any) -> None:
        """Nothing is recorded."""

    deliver = Deliverer(
        queue=QueueStore(database, lease_seconds=30),
        sender=cast(Any, SimpleNamespace(attempt=attempt)),
        outcomes=cast(Any, SimpleNamespace(put=put)),
        lease_seconds=30,
    )
    for one in claims.values():
        await deliver(replace(one, claimed_at=one.claimed_at - 2), recipient(ENDPOINT, 1))
    assert sent == ["other"]


async def test_an_erasure_cancels_what_is_owed_and_blanks_what_was_sent(
    surroundings: Servers, database: AsyncEngine
) -> None:
    """Waiting, held, failed and succeeded deliveries alike; others' and the notice's own are as they were."""
    await take_in(database, [signal("sent", 1), signal("failed", 2), signal("other", 3, account="acme2")])
    for name, one in (await claim(database)).items():
        await record(database, one, Status.PENDING if name == "failed" else Status.SUCCEEDED)
    await take_in(database, [signal("held", 4)], hold="backlog")
    await take_in(database, [signal("waiting", 5), signal("notice", 6, erased=True)])
    assert await standing(surroundings) == {
        "sent": ("succeeded", False),
        "failed": ("cancelled", False),
        "held": ("cancelled", False),
        "other": ("succeeded", True),
        "notice": ("pending", True),
    }
    assert await answers(surroundings) == {None, signal("other", 3, account="acme2").body}
    rows = await query(surroundings, "SELECT DISTINCT account_id FROM notifier.message")
    assert {row["account_id"] for row in rows} == {pseudonym("acme"), "acme2"}
    assert set(await claim(database)) == {"notice"}


async def test_an_answer_that_comes_after_the_erasure_is_not_kept(surroundings: Servers, database: AsyncEngine) -> None:
    """The request was on the wire; its outcome finds the delivery cancelled."""
    await take_in(database, [signal("wire", 1)])
    on_the_wire = (await claim(database))["wire"]
    await take_in(database, [signal("notice", 2, erased=True)])
    assert await record(database, on_the_wire)
    assert (await standing(surroundings))["wire"] == ("cancelled", False)
    assert await answers(surroundings) == {None}


async def test_a_repeat_erases_nothing_and_brings_nothing_back(surroundings: Servers, database: AsyncEngine) -> None:
    """The account came back after its erasure: that stays. What was published before it and comes again does not."""
    old, notice, new = signal("old", 1), signal("notice", 2, erased=True), signal("new", 3)
    assert await take_in(database, [old, notice, new]) == {"notice", "new"}
    assert await take_in(database, [old, notice, new]) == set()
    await query(surroundings, "DELETE FROM notifier.message WHERE id = 'old'")
    assert await take_in(database, [signal("older", 1), signal("unnumbered", None)]) == {"unnumbered"}
    assert (await standing(surroundings))["new"] == ("pending", True)
    assert await take_in(database, [signal("again", 9, erased=True), signal("last", 5)]) == {"again"}
    assert (await standing(surroundings))["new"] == ("cancelled", False)


async def test_the_notice_is_blanked_once_nobody_is_owed_it(surroundings: Servers, database: AsyncEngine) -> None:
    """It names the account, and so may the answers to it."""
    upkeep = UpkeepStore(database)
    await take_in(database, [signal("notice", 1, erased=True)])
    claimed = (await claim(database))["notice"]
    assert await upkeep.blank_notices() == 0
    await record(database, claimed)
    assert await answers(surroundings) == {claimed.body}
    assert await upkeep.blank_notices() == 1
    assert await standing(surroundings) == {"notice": ("succeeded", False)}
    assert await answers(surroundings) == {None}
    assert await upkeep.blank_notices() == 0


async def test_what_was_erased_cannot_be_sent_again(surroundings: Servers, database: AsyncEngine) -> None:
    """There are no bytes left to sign."""
    await take_in(database, [signal("sent", 1)])
    claimed = (await claim(database))["sent"]
    await record(database, claimed)
    await take_in(database, [signal("notice", 2, erased=True)])
    deliveries = DeliveryStore(database)
    state = await deliveries.retry_state(claimed.id)
    assert state is not None
    assert state.erased
    assert not await deliveries.retry(claimed.id)
    assert set(await claim(database)) == {"notice"}


async def test_an_unreadable_record_of_the_account_goes_too(surroundings: Servers, database: AsyncEngine) -> None:
    """Only if it names the account as signals do."""
    for offset, value in enumerate([b'{"account":{"id":"acme"},', b'{"account":{"id":"acme2"},']):
        await query(
            surroundings,
            "INSERT INTO notifier.dead_letter (topic, part, record_offset, reason, value) VALUES ('t', 0, $1, 'r', $2)",
            *(offset, value),
        )
    await take_in(database, [signal("notice", 1, erased=True)])
    rows = await query(surroundings, "SELECT record_offset FROM notifier.dead_letter")
    assert [row["record_offset"] for row in rows] == [1]


async def test_other_numbers_after_a_restore_hide_and_erase_nothing(
    surroundings: Servers, database: AsyncEngine
) -> None:
    """A restored ledger tells of the same erasure under the same id, though it may count from elsewhere."""
    notice = signal("notice", 500, erased=True)
    assert await take_in(database, [signal("old", 499), notice, signal("new", 501)]) == {"notice", "new"}
    assert await take_in(database, [replace(notice, seq=12), signal("fewer", 13)]) == {"fewer"}
    assert await take_in(database, [replace(notice, seq=700), signal("old", 699), signal("more", 701)]) == {"more"}
    assert await standing(surroundings) == dict.fromkeys(("notice", "new", "fewer", "more"), ("pending", True))
