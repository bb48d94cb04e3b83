"""Servers that tests of this folder may kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.data_folder import DataFolder
from tests.fakes.private_servers import private_servers


@pytest.fixture(scope="module")
def private(request: pytest.FixtureRequest) -> Iterator[DataFolder]:
    """A PostgreSQL and a Kafka of the module alone."""
    with private_servers(request.module.__name__.rpartition(".")[2]) as data:
        yield data
