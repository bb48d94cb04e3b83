"""Kill -9 of the resolver at every named point: each event that was acknowledged finds its account."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.runtime.postgres import connect
from tests.integration.ingest_process import (
    IngestProcess,
    end,
    launch,
    running_ingest,
    wait_until,
)
from tests.integration.topic_reader import events_of

# Each with the hit at which the process dies: some work was done by then, and some is left.
POINTS = {"ingest.resolver_produced": 3, "ingest.resolver_written": 3, "ingest.resolver_released": 2}
CLIENTS = 3


def requests(name: str) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Endless requests with the account of each event by its id: events of people, and only later their group call."""
    number = 0
    while True:
        user, account = f"{name}-{number}", f"account-{number}"
        ids = [f"{user}-{index}" for index in range(5)]
        yield dict.fromkeys(ids, account), {"batch": [_track(user, id_) for id_ in ids]}
        last = f"{user}-last"
        group = {"type": "group", "userId": user, "groupId": account, "messageId": f"{user}-group"}
        yield {last: account, group["messageId"]: account}, {"batch": [group, _track(user, last)]}
        number += 1


def _track(user: str, message_id: str) -> dict[str, Any]:
    return {"type": "track", "event": "X", "userId": user, "messageId": message_id}


def send_until_dead(service: IngestProcess, name: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """(account by id of what was answered 200, the request without an answer)."""
    acked: dict[str, str] = {}
    for owed, body in requests(name):
        try:
            answer = service.post("/v1/batch", body)
        except httpx.TransportError:
            return acked, [body]
        assert answer.status_code == 200, answer.text
        acked |= owed
    raise AssertionError("requests never end")


async def _is_drained(database_url: str) -> bool:
    """Nobody whose account is known has events that wait."""
    engine = connect(database_url, service="test")
    try:
        async with engine.connect() as connection:
            waiting = "SELECT count(*) FROM ingest.parked_event JOIN ingest.person USING (user_id)"
            return not await connection.scalar(sa.text(waiting))
    finally:
        await engine.dispose()


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_of_the_resolver_loses_no_event(
    prepared: dict[str, str],
    kafka_bootstrap: str,
    topic_prefix: str,
    database_url: str,
    tmp_path: Path,
    point: str,
) -> None:
    """Under load from several clients; a successor goes on, and every event is in the log under its user's account."""
    dying = launch({**prepared, "FIRSTVALUE_CRASH_AT": f"{point}:{POINTS[point]}"}, tmp_path)
    try:
        dying.wait_ready()
        with ThreadPoolExecutor(CLIENTS) as pool:
            outcomes = list(pool.map(lambda number: send_until_dead(dying, f"{point}-{number}"), range(CLIENTS)))
        assert dying.process.wait(10) == -signal.SIGKILL
    finally:
        end(dying)
    owed = {message_id: account for acked, _ in outcomes for message_id, account in acked.items()}
    assert owed
    with running_ingest(prepared, tmp_path) as service:
        for _, unanswered in outcomes:
            for body in unanswered:
                assert service.post("/v1/batch", body).status_code == 200
        # The account of everybody is told at last, also where the crash came before the group call.
        for user in {message_id.rpartition("-")[0]: account for message_id, account in owed.items()}.items():
            group = {"type": "group", "userId": user[0], "groupId": user[1]}
            assert service.post("/v1/batch", {"batch": [group]}).status_code == 200

        def found() -> dict[str, str]:
            with ThreadPoolExecutor(1) as pool:
                events = pool.submit(asyncio.run, events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1"))
                return {event.message_id: event.account_id for event in events.result()}

        wait_until(lambda: owed.items() <= found().items(), timeout_seconds=60, what="every event under its account")
        with ThreadPoolExecutor(1) as pool:
            wait_until(
                lambda: pool.submit(asyncio.run, _is_drained(database_url)).result(),
                timeout_seconds=30,
                what="nothing waits that needs not",
            )
