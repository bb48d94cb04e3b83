"""The operator's verbs for an API that is served without an engine."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.commit_plan import Outward
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.verbs import Operations, new_operations
from services.runtime.kafka import new_consumer, new_producer

# Nothing listens there.
NO_BROKER = "127.0.0.1:1"


def operations_over(database: AsyncEngine, *, kafka: str = NO_BROKER, topic: str = "test") -> Operations:
    """The verbs over these servers."""
    log = EventsLog(
        new_consumer=lambda: new_consumer(kafka, client_id="test", group_id=None),
        new_producer=lambda: new_producer(kafka, client_id="test"),
        topic=topic,
    )
    return new_operations(database, log, outward=Outward(), show_differences=lambda _differences: None)
