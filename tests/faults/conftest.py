"""What tests of this folder share, and servers that they may kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.data_folder import DataFolder
from tests.fakes.private_servers import private_servers
from tests.integration.ingest_process import ingest_environment, prepare, service
from tests.running_notifier import surroundings
from tests.running_room import room

__all__ = ["private", "room", "service", "surroundings"]


@pytest.fixture(scope="session")
def private() -> Iterator[DataFolder]:
    """A PostgreSQL and a Kafka that nothing else uses meanwhile; whoever kills them waits until they are back."""
    with private_servers("private") as data:
        yield data


@pytest.fixture(scope="module")
def prepared(database_url: str, kafka_bootstrap: str, topic_prefix: str) -> dict[str, str]:
    """The environment of an ingest whose schema and topics are there, without ticks that reach a crash point first."""
    environment = ingest_environment(
        database_url=database_url, kafka_bootstrap=kafka_bootstrap, topic_prefix=topic_prefix, ingest_tick_seconds=60
    )
    prepare(environment)
    return environment
