"""Real PostgreSQL and Kafka for the tests: one pair per session, a fresh database and topic prefix per module.

DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS name servers that run already. FIRSTVALUE_TEST_SERVERS_DIR names a folder
whose servers keep running between sessions and are shared by sessions that run at the same time.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import hypothesis
import pytest

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path, root
from deploy.local.progress import Silence
from deploy.local.running import shared_servers
from deploy.local.servers import servers_alone
from tests.session_logs import forbidden

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("untimed", deadline=None, print_blob=True)
hypothesis.settings.load_profile("untimed")


@dataclass(frozen=True)
class RunningServers:
    """Where the session's PostgreSQL (a maintenance database) and Kafka are."""

    database_url: str
    kafka_bootstrap: str


@pytest.fixture(scope="session")
def servers() -> Iterator[RunningServers]:
    """PostgreSQL and Kafka, started on first use; a private pair is stopped and deleted when the session ends."""
    database_url, bootstrap = os.environ.get("DATABASE_URL"), os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if database_url and bootstrap:
        yield RunningServers(database_url, bootstrap)
    elif shared := os.environ.get("FIRSTVALUE_TEST_SERVERS_DIR"):
        connection = shared_servers(DataFolder(Path(shared)))
        yield RunningServers(database_url or connection["database"], bootstrap or connection["kafka"])
    else:
        path = root() / ".firstvalue-test" / f"session-{os.getpid()}"
        with servers_alone(
            DataFolder(path), jars=jars_path(), environment=os.environ, progress=Silence(), stopping=Event()
        ) as stack:
            yield RunningServers(stack.connection["database"], stack.connection["kafka"])
        shutil.rmtree(path)


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """By any service that a test of this session runs; control characters neither."""
    yield
    found = list(forbidden(tmp_path_factory.getbasetemp()))
    assert not found, "\n".join(found[:20])


@pytest.fixture(scope="session")
def kafka_bootstrap(servers: RunningServers) -> str:
    """host:port of the session's Kafka."""
    return servers.kafka_bootstrap


@pytest.fixture(scope="module")
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A topic name prefix that no other module nor session uses; it ends with a dot."""
    return f"{_module_word(request)}-{secrets.token_hex(4)}."


@pytest.fixture(scope="module")
def fresh_database(servers: RunningServers) -> Iterator[Callable[[str], str]]:
    """Makes empty databases: call it with a word for the name, get a postgresql:// URL. Dropped after the module."""
    made: list[str] = []

    def make(word: str) -> str:
        name = f"test_{word}_{secrets.token_hex(4)}"
        _execute(servers.database_url, f'CREATE DATABASE "{name}"')
        made.append(name)
        return urlsplit(servers.database_url)._replace(path=f"/{name}").geturl()

    yield make
    for name in made:
        _execute(servers.database_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def database_url(request: pytest.FixtureRequest, fresh_database: Callable[[str], str]) -> str:
    """An empty database of this module, as a postgresql:// URL."""
    return fresh_database(_module_word(request))


def _module_word(request: pytest.FixtureRequest) -> str:
    return str(request.module.__name__).rpartition(".")[2].removeprefix("test_")[:30]


def _execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    _run_elsewhere(run())


def _run_elsewhere(coroutine: Coroutine[Any, Any, None]) -> None:
    # In a thread: asyncio.run here would disturb the event loop that pytest-asyncio manages in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, coroutine).result()
