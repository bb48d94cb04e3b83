"""NOTIFY as calls: whatever cuts the connection, listening begins again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from services.runtime import notices
from services.runtime.notices import Notices
from services.runtime.process import Stopping


class Database:
    """Gives connections whose first attempt to listen fails."""

    def __init__(self, failure: Exception) -> None:
        self._failures = [failure]
        self.invalidated = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        yield self

    async def execution_options(self, **_: Any) -> None:
        """Taken as they come."""

    async def get_raw_connection(self) -> Any:
        return SimpleNamespace(driver_connection=self)

    async def add_listener(self, _channel: str, _call: Any) -> None:
        if self._failures:
            raise self._failures.pop()

    async def invalidate(self) -> None:
        self.invalidated += 1


@pytest.mark.parametrize(
    "failure",
    [
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
)
async def test_a_server_that_goes_while_it_is_asked_to_listen_is_waited_for(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver says so itself; and no connection that may listen to something goes back to the pool."""
    monkeypatch.setattr(notices, "_RETRY_SECONDS", 0.0)
    database, stopping, heard = Database(failure), Stopping(), []

    def missed() -> None:
        heard.append("missed")
        stopping.request()

    given: Any = database
    await Notices(given, heard={"people": heard.append}, missed=missed).run(stopping)
    assert heard == ["missed"]
    assert database.invalidated == 2
