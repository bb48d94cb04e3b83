"""What `firstvalue up --observability` tells Prometheus."""

from pathlib import Path
from threading import Event

import pytest
from ruamel.yaml import YAML

from deploy.local.data_folder import DataFolder
from deploy.local.errors import StackError
from deploy.local.processes import Launcher
from deploy.local.prometheus import PrometheusServer, find_prometheus, plan_prometheus
from deploy.local.servers import Servers
from deploy.local.services import Application, plan_application
from deploy.prometheus.rules import rule_groups
from tests.programs import promtool

_SERVERS = Servers(database_url="postgresql://u@127.0.0.1:1/d", kafka_bootstrap_servers="127.0.0.1:2", parts=())


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a program of the name."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "prometheus").touch(mode=0o755)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    """A folder that was just made."""
    folder = DataFolder(tmp_path / "stack")
    folder.create()
    return folder


def _planned(data: DataFolder, programs: Path, **environment: str) -> tuple[Application, PrometheusServer]:
    environment |= {"PATH": str(programs)}
    application = plan_application(data, _SERVERS, environment=environment)
    return application, plan_prometheus(data, application.services, environment=environment)


def _prepare(data: DataFolder, prometheus: PrometheusServer) -> None:
    with data.locked() as lock:
        launcher = Launcher(data=data, stopping=Event(), lock=lock)
        prometheus.prepare(launcher)
        launcher.close()


def _scraped(data: DataFolder) -> dict[str, list[str]]:
    config = YAML(typ="safe").load(data.prometheus / "prometheus.yml")
    return {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}


def test_it_scrapes_the_private_ports_of_this_stack(data: DataFolder, programs: Path) -> None:
    """Under the jobs that the rules know; at the next start those that the ports are then."""
    application, prometheus = _planned(data, programs)
    _prepare(data, prometheus)
    expected = {f"firstvalue-{one.name}": [f"127.0.0.1:{one.metrics_port}"] for one in application.services}
    assert _scraped(data) == expected
    _, moved = _planned(data, programs, FIRSTVALUE_ENGINE_METRICS_PORT="28099")
    _prepare(data, moved)
    assert _scraped(data) == expected | {"firstvalue-engine": ["127.0.0.1:28099"]}
    assert moved.addresses == prometheus.addresses


def test_prometheus_takes_the_configuration_and_the_rules(data: DataFolder, programs: Path) -> None:
    """Every rule of production, by the judgement of promtool."""
    _, prometheus = _planned(data, programs)
    _prepare(data, prometheus)
    rules = sum(len(group["rules"]) for group in rule_groups()["groups"])
    assert f"{rules} rules found" in promtool("check", "config", data.prometheus / "prometheus.yml")


def test_it_listens_on_loopback_and_keeps_its_files_in_the_folder(data: DataFolder, programs: Path) -> None:
    """On the address that is announced; `down --wipe` deletes what it stored."""
    _, prometheus = _planned(data, programs)
    address = prometheus.addresses["url"].removeprefix("http://")
    command = prometheus.program().command
    assert command[0] == str(programs / "prometheus")
    assert f"--web.listen-address={address}" in command
    assert address.startswith("127.0.0.1:")
    assert f"--storage.tsdb.path={data.prometheus / 'data'}" in command
    _prepare(data, prometheus)
    data.wipe()
    assert not data.path.exists()


def test_without_the_program_it_says_how_to_get_it(data: DataFolder) -> None:
    """A package, or the profile of the containers; nothing is planned."""
    with pytest.raises(StackError, match=r"apt-get install .* prometheus.*docker compose --profile observability"):
        find_prometheus({"PATH": str(data.path)})
