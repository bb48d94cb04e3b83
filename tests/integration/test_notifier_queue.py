"""The queue's promises between processes: leases, late outcomes, claims side by side, one owner of a position."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import Answer, Result, Status
from services.notifier.domain.sequence import Progress
from services.notifier.secret_box import SecretBox
from services.notifier.sender.client import Attempt
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.intake import IntakeStore, Message, Owed, Position, PositionLost
from services.notifier.store.queue import CLAIM_MAX, QUEUED_BYTES_MAX, QUEUED_MAX, QueueStore, Recorded
from services.runtime.postgres import connect
from tests.fakes.outcome_writer import writing
from tests.notifier_tables import add_endpoint, outcome
from tests.running_notifier import Servers, query

ENDPOINT = "ep_one"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def surroundings(surroundings: Servers) -> Servers:
    """With two endpoints."""
    for endpoint_id in (ENDPOINT, "ep_two"):
        await add_endpoint(surroundings, endpoint_id)
    return surroundings


@pytest_asyncio.fixture
async def intake(surroundings: Servers) -> AsyncIterator[IntakeStore]:
    """An empty queue and its way in."""
    await query(surroundings, "TRUNCATE notifier.message, notifier.delivery, notifier.attempt, notifier.intake")
    engine = connect(surroundings.database_url, service="test")
    yield IntakeStore(engine, topic="signals")
    await engine.dispose()


@pytest_asyncio.fixture
async def queue(surroundings: Servers) -> AsyncIterator[QueueStore]:
    """Leases of one second."""
    engine = connect(surroundings.database_url, service="test")
    yield QueueStore(engine, lease_seconds=1)
    await engine.dispose()


async def owe(intake: IntakeStore, count: int, endpoint_id: str = ENDPOINT) -> None:
    """Queue some deliveries."""
    messages = [
        Message(f"{endpoint_id}-{number}", "account.stalled", "acme", "live", None, b"{}") for number in range(count)
    ]
    async with intake.batch() as batch:
        await batch.add_messages(messages)
        await batch.add_deliveries([Owed(message, endpoint_id, None) for message in messages])


async def lease_ends(servers: Servers, queue: QueueStore) -> None:
    """Time passes, and a living process looks."""
    await query(
        servers, "UPDATE notifier.delivery SET lease_until = now() - interval '1 second' WHERE status = 'leased'"
    )
    assert await queue.expire_leases() > 0


async def standing(servers: Servers) -> tuple[str, int, int, list[bool]]:
    """Status, attempts, counted failures of the one delivery, and which of its logged attempts were late."""
    (row,) = await query(servers, "SELECT status, attempts, failures FROM notifier.delivery")
    log = await query(servers, "SELECT late FROM notifier.attempt ORDER BY number, late")
    return row["status"], row["attempts"], row["failures"], [entry["late"] for entry in log]


async def test_two_processes_never_claim_the_same(
    surroundings: Servers, intake: IntakeStore, queue: QueueStore
) -> None:
    """A claim takes at most its share per endpoint, and what is leased is nobody else's until the lease ends."""
    await owe(intake, CLAIM_MAX + 8)
    await owe(intake, 3, "ep_two")
    first = await queue.claim({})
    assert len(first) == CLAIM_MAX + 3
    second = await queue.claim({ENDPOINT: CLAIM_MAX - 5})
    assert len(second) == 5
    assert not {each.id for each in first} & {each.id for each in second}
    await lease_ends(surroundings, queue)
    again = await queue.claim({})
    known = {each.id for each in (*first, *second)}
    assert {each.claim for each in again if each.id in known} == {2}


async def test_late_failure_changes_nothing(surroundings: Servers, intake: IntakeStore, queue: QueueStore) -> None:
    """An outcome whose lease has ended is logged as late and is not counted a second time."""
    await owe(intake, 1)
    (slow,) = await queue.claim({})
    await lease_ends(surroundings, queue)
    (second,) = await queue.claim({})
    assert (await queue.record([outcome(slow, Status.PENDING)], GateChanges())).late == {(slow.id, 1)}
    assert await standing(surroundings) == ("leased", 0, 0, [True])
    assert (await queue.record([outcome(second, Status.SUCCEEDED)], GateChanges())).late == set()
    assert await standing(surroundings) == ("succeeded", 1, 0, [False, True])


async def test_late_success_ends_the_delivery(surroundings: Servers, intake: IntakeStore, queue: QueueStore) -> None:
    """A 2xx counts even after its lease, and the other claim's outcome then counts nothing."""
    await owe(intake, 1)
    (slow,) = await queue.claim({})
    await lease_ends(surroundings, queue)
    (second,) = await queue.claim({})
    assert (await queue.record([outcome(slow, Status.SUCCEEDED)], GateChanges())).late == set()
    assert (await queue.record([outcome(second, Status.PENDING)], GateChanges())).late == {(second.id, 2)}
    assert await standing(surroundings) == ("succeeded", 1, 0, [False, True])


@pytest.mark.parametrize("success_first", [True, False])
async def test_two_outcomes_of_a_delivery_in_one_batch_count_once(
    surroundings: Servers, intake: IntakeStore, queue: QueueStore, success_first: bool
) -> None:
    """As after a database was away for longer than a lease: a success wins, whichever claim it was made under."""
    await owe(intake, 1)
    (slow,) = await queue.claim({})
    await lease_ends(surroundings, queue)
    (second,) = await queue.claim({})
    both = [outcome(slow, Status.SUCCEEDED), outcome(second, Status.PENDING)]
    recorded = await queue.record(both if success_first else both[::-1], GateChanges())
    assert recorded.late == {(second.id, 2)}
    assert await standing(surroundings) == ("succeeded", 1, 0, [False, True])


@pytest.mark.parametrize("committed", [True, False])
async def test_what_is_recorded_again_counts_once_for_its_endpoint(
    surroundings: Servers, intake: IntakeStore, queue: QueueStore, committed: bool
) -> None:
    """Whether the first COMMIT happened and its answer was lost, or it never came to one."""
    await owe(intake, 1)
    (claim,) = await queue.claim({})
    tried = 0

    async def record(*outcomes: Any, **more: Any) -> Recorded:
        nonlocal tried
        tried += 1
        if committed or tried > 1:
            recorded = await queue.record(*outcomes, **more)
        if tried == 1:
            raise ConnectionResetError
        return recorded

    failed = Answer(result=Result.HTTP_5XX, status_code=500)
    async with writing(record) as writer:
        await writer.put(Attempt(delivery=claim, revision=1, answer=failed, started_at=0, duration_seconds=0.1))
    (gate,) = await query(surroundings, "SELECT failures FROM notifier.endpoint_gate WHERE endpoint_id = $1", ENDPOINT)
    await query(surroundings, "UPDATE notifier.endpoint_gate SET failures = 0, failing_since = NULL")
    assert (tried, gate["failures"]) == (2, 1)
    assert (await standing(surroundings))[:3] == ("pending", 1, 1)


async def test_released_lease_is_uncharged(surroundings: Servers, intake: IntakeStore, queue: QueueStore) -> None:
    """What is given back is due at once; a claim that was lost meanwhile cannot give back its successor's."""
    await owe(intake, 1)
    (first,) = await queue.claim({})
    await queue.release([first])
    (second,) = await queue.claim({})
    await queue.release([first])
    assert await standing(surroundings) == ("leased", 0, 0, [])
    assert second.claim == 2


async def test_closed_gate_and_disabled_endpoint_are_not_claimed(
    surroundings: Servers, intake: IntakeStore, queue: QueueStore
) -> None:
    """One endpoint's closed gate keeps its own deliveries back and nobody else's."""
    await owe(intake, 2)
    await owe(intake, 2, "ep_two")
    (probe,) = await queue.claim({ENDPOINT: CLAIM_MAX - 1, "ep_two": CLAIM_MAX})
    await queue.record([outcome(probe, Status.PENDING)], GateChanges(closed_seconds={ENDPOINT: 60.0}))
    assert {each.endpoint_id for each in await queue.claim({})} == {"ep_two"}
    await query(surroundings, "UPDATE notifier.endpoint_gate SET not_before = '-infinity'")


async def test_position_has_one_owner(surroundings: Servers, intake: IntakeStore) -> None:
    """A batch from a position that somebody else has moved commits nothing."""
    before = await intake.positions({0: 5})
    assert before == {0: Position(5, Progress())}
    after = {0: Position(9, Progress(4, ((2, 2),), ledger_ms=7))}
    async with intake.batch() as batch:
        await batch.advance(before, after)

    async def write_from_old_position() -> None:
        async with intake.batch() as batch:
            await batch.add_messages([Message("lost", "account.stalled", None, "live", None, b"{}")])
            await batch.advance(before, {0: Position(7, Progress())})

    with pytest.raises(PositionLost):
        await write_from_old_position()
    assert await intake.positions({0: 0}) == after
    assert await query(surroundings, "SELECT 1 FROM notifier.message") == []


async def test_claims_are_bounded_over_all_endpoints(
    surroundings: Servers, intake: IntakeStore, queue: QueueStore
) -> None:
    """However many endpoints have due work, a process holds no more than its limit; nobody is left out for good."""
    await owe(intake, 6)
    await owe(intake, 6, "ep_two")
    assert await queue.claim({"elsewhere": QUEUED_MAX}) == []
    first = await queue.claim({"elsewhere": QUEUED_MAX - 5})
    rest = await queue.claim({})
    assert (len(first), len(rest)) == (5, 7)


async def test_claims_are_bounded_by_the_bytes_of_their_bodies(intake: IntakeStore, queue: QueueStore) -> None:
    """The last one may pass the limit; a process that is full of bodies claims none."""
    await owe(intake, 6)
    await owe(intake, 6, "ep_two")
    assert await queue.claim({}, queued_bytes=QUEUED_BYTES_MAX) == []
    first = await queue.claim({}, queued_bytes=QUEUED_BYTES_MAX - 2 * len(b"{}") - 1)
    rest = await queue.claim({})
    assert (len(first), len(rest)) == (3, 9)


async def test_bytes_go_to_what_is_due_first(surroundings: Servers, intake: IntakeStore) -> None:
    """Whatever order the database finds the bodies in: here that of their ids, which is the opposite one."""
    await owe(intake, 6)
    await query(surroundings, "UPDATE notifier.delivery SET next_at = now() - id * interval '1 second'")
    engine = connect(surroundings.database_url, service="test")
    async with engine.begin() as connection:
        for way in ("nestloop", "hashjoin"):
            await connection.execute(sa.text(f"SET enable_{way} = off"))
    (claim,) = await QueueStore(engine, lease_seconds=60).claim({}, queued_bytes=QUEUED_BYTES_MAX - 1)
    await engine.dispose()
    (row,) = await query(surroundings, "SELECT max(id) AS newest FROM notifier.delivery")
    assert claim.id == row["newest"]


async def test_replicas_record_the_same_gates_without_deadlock(
    surroundings: Servers, intake: IntakeStore, queue: QueueStore
) -> None:
    """Two replicas close and count the gates of the same endpoints, each from its own side, again and again."""

    async def record(closed: str) -> None:
        for _ in range(60):
            both = {ENDPOINT: 1, "ep_two": 1}
            await queue.record([], GateChanges(closed_seconds={closed: 0.001}, failures=both, succeeded={ENDPOINT}))

    await asyncio.gather(record(ENDPOINT), record("ep_two"))
    rows = await query(surroundings, "SELECT endpoint_id, failures FROM notifier.endpoint_gate ORDER BY 1")
    assert [tuple(row) for row in rows] == [(ENDPOINT, 1), ("ep_two", 120)]
    await query(surroundings, "UPDATE notifier.endpoint_gate SET not_before = '-infinity', failures = 0")


async def test_enabling_waits_for_deliveries_that_are_being_held(surroundings: Servers, intake: IntakeStore) -> None:
    """What intake holds for a disabled endpoint is there when enabling asks what is held: none is left behind."""
    engine = connect(surroundings.database_url, service="test")
    endpoints = EndpointStore(engine, SecretBox(bytes(32)))
    await endpoints.set_enabled(ENDPOINT, False)
    message = Message("just-now", "account.stalled", "acme", "live", None, b"{}")
    async with intake.batch() as batch:
        await batch.add_messages([message])
        assert [each.enabled for each in await batch.subscribers()] == [False, True]
        enabling = asyncio.create_task(endpoints.set_enabled(ENDPOINT, True, send_held=True))
        assert not (await asyncio.wait({enabling}, timeout=0.3))[0]
        await batch.add_deliveries([Owed(message, ENDPOINT, "disabled")])
    assert await enabling == 1
    rows = await query(surroundings, "SELECT status, hold_reason FROM notifier.delivery")
    assert [tuple(row) for row in rows] == [("held", "backlog")]
    await engine.dispose()
