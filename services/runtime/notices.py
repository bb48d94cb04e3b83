"""PostgreSQL's NOTIFY as calls: one connection that listens, and says when it may have missed something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.runtime.postgres import DRIVER_ERRORS
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

_PROBE_SECONDS = 5.0
_RETRY_SECONDS = 1.0


class Notices:
    """Calls `heard[channel]` with each payload, and `missed` whenever listening begins (again)."""

    def __init__(
        self, engine: AsyncEngine, *, heard: Mapping[str, Callable[[str], None]], missed: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._heard = heard
        self._missed = missed

    async def run(self, stopping: Stopping) -> None:
        """Worker: listen until stopped; a database that is away is reported once and waited for."""
        failing = False
        while not stopping:
            try:
                async with self._engine.connect() as connection:
                    try:
                        await self._listen(connection)
                        if failing:
                            log.info("notices_heard_again")
                        failing = False
                        await self._stay(connection, stopping)
                    finally:
                        # Its listeners end with it: it must not go back to those that wait for work.
                        await connection.invalidate()
            except (*DRIVER_ERRORS, SQLAlchemyError, OSError, TimeoutError) as error:
                if not failing:
                    log.warning("notices_interrupted", error=type(error).__name__)
                failing = True
                await stopping.sleep(_RETRY_SECONDS)

    async def _listen(self, connection: Any) -> None:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        raw = await connection.get_raw_connection()
        for channel in self._heard:
            await raw.driver_connection.add_listener(channel, self._call)
        self._missed()

    async def _stay(self, connection: Any, stopping: Stopping) -> None:
        """Until stopped, or the connection proves to be gone."""
        while not await stopping.sleep(_PROBE_SECONDS):
            await connection.execute(sa.text("SELECT 1"))

    def _call(self, _connection: Any, _process: int, channel: str, payload: object) -> None:
        self._heard[channel](str(payload))
