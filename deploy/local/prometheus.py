"""Prometheus beside a local stack: scrapes the private ports of its services, evaluates the rules of production.

The program itself is the one on the PATH: no wheel carries it.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.data_folder import DataFolder
from deploy.local.errors import StackError
from deploy.local.loopback_http import answers_ok
from deploy.local.processes import Launcher, Program
from deploy.local.services import Service
from deploy.prometheus.rules import as_yaml, rule_groups
from deploy.prometheus.scraping import scrape_config

# Shorter than in production, as somebody is waiting to see the first points.
_SCRAPE_INTERVAL = "5s"
# The objectives are over 30 days; the oldest days go earlier when they would fill more than this.
_KEPT_TIME, _KEPT_SIZE = "30d", "1GB"
_RULES_FILE = "firstvalue.rules.yml"


@dataclass(frozen=True, kw_only=True)
class PrometheusServer:
    """One server with its files below the data folder; `targets` are host:port of the private ports by service."""

    data: DataFolder
    executable: str
    port: int
    targets: Mapping[str, str]
    environment: Mapping[str, str]

    name = "prometheus"

    @property
    def addresses(self) -> dict[str, str]:
        """Where its pages and its API are, as `firstvalue up --json` prints it."""
        return {"url": f"http://127.0.0.1:{self.port}"}

    def prepare(self, launcher: Launcher) -> None:
        """Writes what it reads, at every start: ports may have changed, and the rules with the release."""
        self.data.prometheus.mkdir(exist_ok=True)
        targets = {service: [address] for service, address in self.targets.items()}
        config = scrape_config(targets, rule_files=[_RULES_FILE], interval=_SCRAPE_INTERVAL)
        self._config.write_text(as_yaml(config), encoding="utf-8")
        (self.data.prometheus / _RULES_FILE).write_text(as_yaml(rule_groups()), encoding="utf-8")

    def program(self) -> Program:
        """The server; on SIGTERM it writes what it holds and ends."""
        command = (
            self.executable,
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.data.prometheus / 'data'}",
            f"--storage.tsdb.retention.time={_KEPT_TIME}",
            f"--storage.tsdb.retention.size={_KEPT_SIZE}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=exemplar-storage",
        )
        return Program(name=self.name, command=command, environment=self.environment, folder=self.data.prometheus)

    def is_ready(self) -> bool:
        """True once it has read its rules and what it stored, and answers queries."""
        return answers_ok(f"{self.addresses['url']}/-/ready")

    @property
    def _config(self) -> Path:
        return self.data.prometheus / "prometheus.yml"


def plan_prometheus(
    data: DataFolder, services: tuple[Service, ...], *, environment: Mapping[str, str]
) -> PrometheusServer:
    """Chooses a port; starts nothing. Raises StackError without the program."""
    return PrometheusServer(
        data=data,
        executable=find_prometheus(environment),
        port=data.ports(("prometheus",), wanted={})["prometheus"],
        targets={service.name: f"127.0.0.1:{service.metrics_port}" for service in services},
        environment=environment,
    )


def find_prometheus(environment: Mapping[str, str]) -> str:
    """The path of the program on the PATH; raises StackError that says how to get it."""
    found = shutil.which("prometheus", path=environment.get("PATH"))
    if found is None:
        raise StackError(
            "`--observability` needs the program `prometheus`, which is not on the PATH; nothing was started. As root: "
            "`apt-get install --no-install-recommends prometheus`; or run everything in containers: "
            "`docker compose --profile observability up --build --wait`"
        )
    return str(Path(found).absolute())
