"""Kill -9 of the resolver at every named point: each event that was acknowledged finds its account."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.runtime.postgres import connect
from tests.faults.killed_ingest import Request, send_until_killed
from tests.integration.ingest_process import running_ingest
from tests.integration.topic_reader import events_of
from tests.waiting import wait_until

# Each with the hit at which the process dies: some work was done by then, and some is left.
POINTS = {"ingest.resolver_produced": 3, "ingest.resolver_written": 3, "ingest.resolver_released": 2}


def requests(name: str) -> Iterator[Request]:
    """Endless: events of people, and only later their group call."""
    number = 0
    while True:
        user, account = f"{name}-{number}", f"account-{number}"
        ids = [f"{user}-{index}" for index in range(5)]
        yield Request(dict.fromkeys(ids, account), {"batch": [_track(user, id_) for id_ in ids]})
        last = f"{user}-last"
        group = {"type": "group", "userId": user, "groupId": account, "messageId": f"{user}-group"}
        yield Request({last: account, group["messageId"]: account}, {"batch": [group, _track(user, last)]})
        number += 1


def _track(user: str, message_id: str) -> dict[str, Any]:
    return {"type": "track", "event": "X", "userId": user, "messageId": message_id}


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
    owed, unanswered = send_until_killed(prepared, tmp_path, crash_at=f"{point}:{POINTS[point]}", requests=requests)
    with running_ingest(prepared, tmp_path) as service:
        for request in unanswered:
            assert service.post("/v1/batch", request.body).status_code == 200
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
