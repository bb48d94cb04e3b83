"""The three services and the jobs before them, each with its settings in the environment: what `firstvalue up` adds."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.data_folder import DataFolder
from deploy.local.errors import StackError
from deploy.local.loopback_http import answers_ok
from deploy.local.places import root
from deploy.local.processes import Launcher, Program
from deploy.local.servers import Servers

SERVICES = ("ingest", "engine", "notifier")
JOBS = ("migrate", "topics")
_PORT_MAX = 65_535
_COMMAND = (sys.executable, "-m", "services.cli")


@dataclass(frozen=True, kw_only=True)
class Service:
    """A program that answers `GET /readyz` with 200 on its private port once it can work."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    metrics_port: int
    folder: Path

    @property
    def addresses(self) -> dict[str, str]:
        """Its API and its metrics, as `firstvalue up --json` prints them."""
        return {"url": f"http://127.0.0.1:{self.port}", "metrics": f"http://127.0.0.1:{self.metrics_port}/metrics"}

    def prepare(self, launcher: Launcher) -> None:
        """Nothing to do: the jobs have run."""

    def program(self) -> Program:
        """The service; it drains on SIGTERM."""
        return Program(name=self.name, command=self.command, environment=self.environment, folder=self.folder)

    def is_ready(self) -> bool:
        """True once it answers that it is."""
        return answers_ok(f"http://127.0.0.1:{self.metrics_port}/readyz")


@dataclass(frozen=True, kw_only=True)
class Application:
    """The jobs to run once and the services to keep running, with the key that administers them."""

    jobs: tuple[Program, ...]
    services: tuple[Service, ...]
    admin_key: str


def plan_application(data: DataFolder, servers: Servers, *, environment: Mapping[str, str]) -> Application:
    """Chooses ports and settings; starts nothing. Every FIRSTVALUE_ variable of the environment wins over ours."""
    given = {name: value for name, value in environment.items() if name.startswith("FIRSTVALUE_") and value}
    wanted = {port: _number(variable, given) for port, variable in _port_variables().items() if variable in given}
    ports = data.ports(_port_variables(), wanted=wanted)
    settings = _settings(data, servers, ports) | given
    whole = dict(environment) | settings
    services = tuple(
        Service(
            name=name,
            command=(*_COMMAND, "serve", name),
            environment=whole,
            port=ports[name],
            metrics_port=ports[f"{name}_metrics"],
            folder=root(),
        )
        for name in SERVICES
    )
    jobs = tuple(Program(name=name, command=(*_COMMAND, name), environment=whole, folder=root()) for name in JOBS)
    return Application(jobs=jobs, services=services, admin_key=settings["FIRSTVALUE_ADMIN_KEY"])


def _port_variables() -> dict[str, str]:
    public = {name: f"FIRSTVALUE_{name.upper()}_PORT" for name in SERVICES}
    return public | {f"{name}_metrics": f"FIRSTVALUE_{name.upper()}_METRICS_PORT" for name in SERVICES}


def _settings(data: DataFolder, servers: Servers, ports: Mapping[str, int]) -> dict[str, str]:
    secrets = data.secrets()
    return {
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": servers.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
        "FIRSTVALUE_PRODUCTION": "false",
        "FIRSTVALUE_ADMIN_KEY": secrets["admin_key"],
        # A killed engine is noticed after the broker's shortest session.
        "FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS": "6",
        # Endpoints on this machine, in plain http: in a local stack only.
        "FIRSTVALUE_NOTIFIER_ALLOWED_ADDRESSES": "127.0.0.1",
        "FIRSTVALUE_NOTIFIER_SECRET_KEY": secrets["notifier_secret_key"],
    } | {variable: str(ports[port]) for port, variable in _port_variables().items()}


def _number(variable: str, given: Mapping[str, str]) -> int:
    number = given[variable]
    if not number.isdecimal() or not 1 <= int(number) <= _PORT_MAX:
        raise StackError(
            f"{variable}={number}: write the number of a port, 1 to {_PORT_MAX}, or leave it out for a free one"
        )
    return int(number)
