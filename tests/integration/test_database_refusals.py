"""A database that lets nobody in: services and migrations end at once and say what to do, in one line."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import RunningServers
from tests.ports import free_port

# Of the session's own address, what is changed, and what is said of it.
_REFUSED = {
    "password": ({"password": "wrong"}, "refuses the login", "correct user and password in DATABASE_URL"),
    "role": ({"user": "nobody_knows"}, "refuses the login", "correct user and password in DATABASE_URL"),
    "database": ({"path": "/not_there"}, 'database "not_there" does not exist', "create it, or correct DATABASE_URL"),
}
_SECRET = base64.b64encode(bytes(range(32))).decode()
_NAMES = pytest.mark.parametrize("wrong", _REFUSED)


def address(url: str, *, user: str = "", password: str = "", path: str = "") -> str:
    """The address with these parts in place of its own."""
    parts = urlsplit(url)
    login = f"{user or parts.username}:{password or parts.password}"
    return parts._replace(netloc=f"{login}@{parts.hostname}:{parts.port}", path=path or parts.path).geturl()


def started(module: str, command: str, *, database_url: str, kafka: str) -> subprocess.CompletedProcess[str]:
    """How it ended; it fails when that took longer than any start."""
    words = [sys.executable, "-m", f"services.{module}", command]
    settings = {
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "FIRSTVALUE_NOTIFIER_SECRET_KEY": _SECRET,
    }
    settings |= {f"FIRSTVALUE_{one}_PORT": "0" for one in ("INGEST", "ENGINE", "NOTIFIER")}
    settings |= {f"FIRSTVALUE_{one}_METRICS_PORT": "0" for one in ("INGEST", "ENGINE", "NOTIFIER")}
    environment = {**os.environ, **settings}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)


def logged(done: subprocess.CompletedProcess[str], event: str) -> list[dict[str, Any]]:
    """The lines of a log that tell of this."""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize(
    ("module", "wrong"), [("ingest", "password"), ("activation_engine", "role"), ("notifier", "database")]
)
def test_a_service_does_not_wait_to_be_let_in(servers: RunningServers, module: str, wrong: str) -> None:
    """No waiting mends it; whoever keeps the service running starts it again."""
    changed, said, do = _REFUSED[wrong]
    url = address(servers.database_url, **changed)
    done = started(module, "serve", database_url=url, kafka=servers.kafka_bootstrap)
    assert done.returncode == 1
    (line,) = logged(done, "start_refused")
    assert said in line["reason"]
    assert do in line["reason"]


@_NAMES
def test_a_migration_says_why_it_was_not_let_in(servers: RunningServers, wrong: str) -> None:
    """On standard error, without the calls that led there."""
    changed, said, do = _REFUSED[wrong]
    url = address(servers.database_url, **changed)
    done = started("ingest", "migrate", database_url=url, kafka=servers.kafka_bootstrap)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert said in line
    assert do in line


def test_a_migration_says_that_no_database_answers() -> None:
    """In the same way."""
    url = f"postgresql://kim:word@127.0.0.1:{free_port()}/none"
    done = started("ingest", "migrate", database_url=url, kafka="127.0.0.1:1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "PostgreSQL does not answer" in line
    assert "start it, or correct DATABASE_URL" in line
    assert "word" not in line
