"""What the settings of ingest reach."""

from __future__ import annotations

from typing import Any

import pytest

from services.ingest import app
from services.ingest.processing import Topics
from services.ingest.settings import IngestSettings
from services.runtime.process import Stopping
from services.runtime.settings import SharedSettings


async def test_the_resolver_has_the_session_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As engine and notifier have theirs."""
    monkeypatch.setattr(app, "ResolverConsumer", lambda *, new_consumer, **_: new_consumer())
    shared = SharedSettings(
        database_url="postgresql://nobody@127.0.0.1:9/none",
        kafka_bootstrap_servers="127.0.0.1:9",
    )
    ingest = app.Ingest(shared, IngestSettings(session_timeout_seconds=7), stopping=Stopping())
    topics = Topics(events="events", unresolved="unresolved", dead="dead", partitions=1)
    publisher: Any = None
    consumer: Any = ingest._new_resolver(publisher, topics)
    assert consumer._session_timeout_ms == 7_000
