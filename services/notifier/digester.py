"""Sends digests when their time has come."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.notifier.store.digests import DigestStore
from services.runtime.postgres import is_transient
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0


class Digester:
    """The worker; several processes may run one, a delivery goes into one digest."""

    def __init__(self, store: DigestStore, *, wake: Callable[[], None], stopping: Stopping) -> None:
        self._store = store
        self._wake = wake
        self._stopping = stopping

    async def run(self) -> None:
        """Until the process stops; a database that is away is waited for."""
        while not self._stopping:
            try:
                made = await self._store.make_due()
                if made:
                    log.info("digests_made", digests=made)
                    self._wake()
            except (SQLAlchemyError, OSError) as error:
                if not is_transient(error):
                    raise
                log.warning("digests_failed", error=type(error).__name__)
            await self._stopping.sleep(_LOOK_SECONDS)
