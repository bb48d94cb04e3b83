"""An outcome writer whose recording is a test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry

from services.notifier.domain.schedule import Schedule
from services.notifier.metrics import NotifierMetrics
from services.notifier.outcomes import OutcomeWriter
from services.notifier.store.queue import Recorded
from services.runtime.health import Health


@contextlib.asynccontextmanager
async def writing(
    record: Callable[..., Awaitable[Recorded]], *, registry: CollectorRegistry | None = None
) -> AsyncIterator[OutcomeWriter]:
    """A writer at work that records by `record`, as a queue's; what it was given is recorded when the context ends."""
    writer = OutcomeWriter(
        queue=cast(Any, SimpleNamespace(record=record)),
        schedule=Schedule(),
        metrics=NotifierMetrics(registry or CollectorRegistry()),
        health=Health(checks={}),
        on_closed=cast(Any, None),
        on_recovered=lambda: None,
    )
    running = asyncio.create_task(writer.run())
    try:
        yield writer
        await asyncio.wait_for(writer.flush(), 10)
    finally:
        running.cancel()
