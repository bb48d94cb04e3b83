"""What tests of this folder share, and servers that they may kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.data_folder import DataFolder
from tests.fakes.private_servers import private_servers
from tests.running_room import room

__all__ = ["private", "room"]


@pytest.fixture(scope="module")
def private(request: pytest.FixtureRequest) -> Iterator[DataFolder]:
    """A PostgreSQL and a Kafka of the module alone."""
    with private_servers(request.module.__name__.rpartition(".")[2]) as data:
        yield data
