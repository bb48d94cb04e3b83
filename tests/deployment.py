"""The services of docker-compose.yml as plain processes: its very commands and environment, with other addresses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from ruamel.yaml import YAML

from deploy.local.postgres import binaries
from tests.documented import programs
from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
_PAGE = ROOT / "docs" / "operations.md"
# Planted: no log and no metric may ever hold them.
ADMIN_KEY = "planted-admin-key-e1f5"
SECRET_KEY = "cGxhbnRlZC1zZWNyZXQta2V5LW9mLTMyLWJ5dGVzISE="
ROLE_PASSWORD = "planted-role-password-93b0"
_GIVEN = {"FIRSTVALUE_ADMIN_KEY": ADMIN_KEY, "FIRSTVALUE_NOTIFIER_SECRET_KEY": SECRET_KEY}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
JOBS = ("migrate", "topics")
SERVICES = ("ingest", "engine", "notifier")
DEMO = ("demo-plan", "demo-events", "demo-signals")


def compose() -> dict[str, Any]:
    """The file as data, with its variables filled in."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(_VARIABLE.sub(_value, text))
    return loaded


def _value(variable: re.Match[str]) -> str:
    name, kind, default = variable.groups()
    return _GIVEN[name] if kind == "?" else _GIVEN.get(name, default or "")


@dataclass
class Running:
    """One service."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    private_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, also again."""
        upper = self.name.upper()
        ports = {
            f"FIRSTVALUE_{upper}_PORT": str(self.port),
            f"FIRSTVALUE_{upper}_METRICS_PORT": str(self.private_port),
        }
        with self.log.open("ab") as output:
            environment = self.environment | ports
            self.process = subprocess.Popen(self.command, env=environment, cwd=ROOT, stdout=output, stderr=output)

    def end(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(40)

    def private(self, path: str, **options: Any) -> httpx.Response:
        """GET on the private port."""
        return httpx.get(f"http://127.0.0.1:{self.private_port}{path}", timeout=5, **options)

    def ready(self) -> bool:
        """Whether /readyz says so; fails when the process has ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return self.private("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request to the API, as admin."""
        headers = {"authorization": f"Bearer {ADMIN_KEY}", **options.pop("headers", {})}
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=15, **options)


@contextmanager
def deployed(
    folder: Path, *, database_url: str, kafka: str, settings: Mapping[str, str] | None = None
) -> Iterator[dict[str, Running]]:
    """Jobs run and services ready, by name, each with its own role; `settings` are added to what the file says."""
    services = compose()["services"]
    running: dict[str, Running] = {}
    for name in (*JOBS, *SERVICES):
        url = database_url if name in JOBS else _url_of(name, database_url)
        environment = _environment(services[name]["environment"], url, kafka) | dict(settings or {})
        command = [sys.executable, "-m", "services.cli", *services[name]["command"]]
        if name in JOBS:
            done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        else:
            running[name] = Running(name, command, environment, folder / f"{name}.log")
    _give_roles(database_url)
    try:
        for service in running.values():
            service.start()
        for service in running.values():
            wait_until(service.ready, what=f"{service.name} ready", timeout_seconds=90)
        yield running
    finally:
        for service in running.values():
            if service.process is not None and service.process.poll() is None:
                service.end()


def _give_roles(database_url: str) -> None:
    """To each service, as docs/operations.md says."""
    (script,) = [one for one in programs(_PAGE.read_text(encoding="utf-8"), "sql") if "CREATE ROLE" in one]
    command = [str(binaries() / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", database_url]
    given = script.replace("…", ROLE_PASSWORD)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _url_of(service: str, database_url: str) -> str:
    place = urlsplit(database_url)
    return place._replace(netloc=f"firstvalue_{service}:{ROLE_PASSWORD}@{place.hostname}:{place.port}").geturl()


def _environment(written: Mapping[str, str], database_url: str, kafka: str) -> dict[str, str]:
    """What the file says and nothing of this shell, but for where the servers are and what is bound."""
    changed = {"DATABASE_URL": database_url, "KAFKA_BOOTSTRAP_SERVERS": kafka, "FIRSTVALUE_HOST": "127.0.0.1"}
    return {"PATH": os.environ["PATH"], **written, **changed}
