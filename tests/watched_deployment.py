"""The services of docker-compose.yml on servers of their own, and a real Prometheus that watches them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.local.loopback_http import answers_ok
from deploy.prometheus.rules import as_yaml, rule_groups
from deploy.prometheus.scraping import scrape_config
from deploy.prometheus.spans import Scale
from tests.deployment import SERVICES, Running, deployed
from tests.fakes.private_servers import pid_of, private_servers
from tests.ports import free_port
from tests.programs import path_of
from tests.waiting import wait_until

# The rules in a thirtieth of their time: ten minutes are twenty seconds.
_SCALE = Scale(1 / 30)
_SETTINGS = {
    "FIRSTVALUE_INGEST_TICK_SECONDS": "0.2",
    "FIRSTVALUE_NOTIFIER_ALLOWED_ADDRESSES": "127.0.0.1",
    "FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS": "6",
}


@dataclass
class Watched:
    """The running services, their Kafka and the Prometheus that watches them."""

    services: dict[str, Running]
    database_url: str
    kafka_pid: int
    prometheus_url: str

    def state_of(self, alert: str) -> set[str]:
        """`pending` and `firing`, as far as the alert is either."""
        answer = httpx.get(f"{self.prometheus_url}/api/v1/alerts", timeout=10).json()
        return {one["state"] for one in answer["data"]["alerts"] if one["labels"]["alertname"] == alert}

    def query(self, expression: str) -> list[Any]:
        """The result of an instant query."""
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params={"query": expression}, timeout=10).json()
        return list(answer["data"]["result"])

    def all_live(self) -> bool:
        """What an orchestrator that restarts processes asks."""
        return all(service.private("/livez").status_code == 200 for service in self.services.values())

    def raised(self, alert: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until the alert is pending or fires, doing something meanwhile."""

        def look() -> bool:
            meanwhile()
            return bool(self.state_of(alert))

        wait_until(look, what=f"{alert} raised", timeout_seconds=90)


@contextmanager
def watched_services(folder: Path) -> Iterator[Watched]:
    """Everything up, each target scraped once."""
    with private_servers("deployment") as data:
        connection = data.read_state()["connection"]
        place = {"database_url": connection["database"], "kafka": connection["kafka"]}
        with deployed(folder, **place, settings=_SETTINGS) as services, _prometheus(folder, services) as url:
            whole = Watched(services, connection["database"], pid_of(data, "kafka"), url)
            wait_until(lambda: len(whole.query("up == 1")) == len(SERVICES), what="all targets scraped")
            yield whole


@contextmanager
def _prometheus(folder: Path, services: dict[str, Running]) -> Iterator[str]:
    """A real Prometheus with the scaled rules."""
    targets = {name: [f"127.0.0.1:{service.private_port}"] for name, service in services.items()}
    (folder / "rules.yml").write_text(as_yaml(rule_groups(scale=_SCALE)))
    config = folder / "prometheus.yml"
    config.write_text(as_yaml(scrape_config(targets, rule_files=["rules.yml"], interval="1s")))
    address = f"127.0.0.1:{free_port()}"
    command = [
        path_of("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: answers_ok(f"http://{address}/-/ready"), what="Prometheus ready")
            yield f"http://{address}"
        finally:
            process.terminate()
