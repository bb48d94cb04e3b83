"""A start waits for servers that are away, and ends by what no waiting mends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from services.runtime import start
from services.runtime.kafka import BrokerUnreachable, TopicProblem
from services.runtime.migrations import StaleSchema
from services.runtime.process import Stopping, WorkerFailed
from services.runtime.start import once_servers_answer


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next look follows without a pause."""
    monkeypatch.setattr(start, "_RETRY_SECONDS", 0.0)


class Servers:
    """What each look meets, in turn."""

    def __init__(self, *met: object) -> None:
        self._met: Iterator[object] = iter(met)

    async def look(self) -> object:
        """Raises it if it is an error."""
        found = next(self._met)
        if isinstance(found, Exception):
            raise found
        return found


async def test_servers_that_are_away_are_waited_for_and_told_of_once() -> None:
    """However they are away, and also what a service's own parts raise then."""
    met = Servers(OSError("down"), OSError("down"), BrokerUnreachable("none"), LookupError("ours"), 6)
    with capture_logs() as logs:
        assert await once_servers_answer(met.look, stopping=Stopping(), away=(LookupError,)) == 6
    told = [(entry["event"], entry["error"]) for entry in logs]
    assert told == [("waiting_for_servers", name) for name in ("OSError", "KafkaConnectionError", "LookupError")]


@pytest.mark.parametrize("problem", [StaleSchema("run `firstvalue migrate` first"), TopicProblem("create it")])
async def test_what_no_waiting_mends_ends_the_start_with_what_to_do(problem: Exception) -> None:
    """In one line."""
    with capture_logs() as logs, pytest.raises(WorkerFailed):
        await once_servers_answer(Servers(problem).look, stopping=Stopping())
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("start_refused", str(problem))]


async def test_a_stop_ends_the_wait() -> None:
    """Whatever is away."""
    stopping, away = Stopping(), Servers(*[OSError("down")] * 1_000_000)
    waiting = asyncio.create_task(once_servers_answer(away.look, stopping=stopping))
    await asyncio.sleep(0)
    stopping.request()
    assert await asyncio.wait_for(waiting, 5) is None


@pytest.mark.parametrize("state", ["28P01", "28000", "3D000", "42501"])
async def test_a_database_that_lets_nobody_in_ends_the_start(state: str) -> None:
    """It says so at once, however long one would wait."""
    refused = DBAPIError("SELECT 1", None, asyncpg.PostgresError.new({"C": state, "M": "refused by rule"}))
    with capture_logs() as logs, pytest.raises(WorkerFailed):
        await once_servers_answer(Servers(OSError("down"), refused).look, stopping=Stopping())
    assert [entry["event"] for entry in logs] == ["waiting_for_servers", "start_refused"]
    assert "(refused by rule): " in logs[-1]["reason"]


async def test_a_wait_says_which_server_is_away() -> None:
    """A wrong host name looks like a server that does not run yet, and its error names neither."""
    with capture_logs() as logs:
        await once_servers_answer(Servers(OSError("Name or service not known"), 6).look, stopping=Stopping())
    assert logs[0]["reason"] == "PostgreSQL: Name or service not known"
