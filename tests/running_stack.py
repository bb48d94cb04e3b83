"""A whole local stack for a module: the three services on the session's servers, as `firstvalue up` runs them."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.cli.__main__ import main
from tests.conftest import RunningServers

_COMMAND = (sys.executable, "-m", "services.cli")


class Done(NamedTuple):
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class RunningStack:
    """What `firstvalue up --json` printed, and the environment in which it was given."""

    connection: dict[str, Any]
    environment: dict[str, str]
    folder: Path

    def state(self) -> dict[str, Any]:
        """What `firstvalue status --json` prints."""
        done = subprocess.run(
            (*_COMMAND, "status", "--json"), env=self.environment, stdout=subprocess.PIPE, check=False
        )
        state: dict[str, Any] = json.loads(done.stdout)
        return state


@pytest.fixture(scope="module")
def stack(
    servers: RunningServers,
    database_url: str,
    topic_prefix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningStack]:
    """A stack without a plan, that ticks often; with Prometheus where it is installed."""
    foreign = ("FIRSTVALUE_", "DATABASE_URL", "KAFKA_")
    folder = tmp_path_factory.mktemp("stack")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
        "FIRSTVALUE_TOPIC_PREFIX": topic_prefix,
        "FIRSTVALUE_DATA_DIR": str(folder),
        "FIRSTVALUE_INGEST_TICK_SECONDS": "0.2",
    }
    extras = ("--observability",) if shutil.which("prometheus") else ()
    up = subprocess.run(
        (*_COMMAND, "up", "--no-plan", "--detach", "--json", *extras), env=environment, capture_output=True, check=False
    )
    assert up.returncode == 0, up.stderr.decode()
    yield RunningStack(json.loads(up.stdout), environment, folder)
    subprocess.run((*_COMMAND, "down"), env=environment, capture_output=True, check=True)


@pytest.fixture
def firstvalue(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The command with these words and this standard input, beside the stack."""
    for name in [name for name in os.environ if name.startswith("FIRSTVALUE_")]:
        monkeypatch.delenv(name)
    for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "FIRSTVALUE_DATA_DIR"):
        monkeypatch.setenv(name, stack.environment[name])

    def run(*words: str, given: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["firstvalue", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run
