"""What `firstvalue up` tells the services, and what it prints about them."""

from pathlib import Path

import pytest

from deploy.local.data_folder import DataFolder
from deploy.local.errors import StackError
from deploy.local.progress import Silence
from deploy.local.servers import Servers, plan_servers
from deploy.local.services import plan_application

_SERVERS = Servers(database_url="postgresql://u@127.0.0.1:1/d", kafka_bootstrap_servers="127.0.0.1:2", parts=())


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    """A folder that was just made."""
    folder = DataFolder(tmp_path)
    folder.create()
    return folder


def test_services_learn_where_everything_is(data: DataFolder) -> None:
    """Every process gets both servers, the folder's keys and the settings of a local stack."""
    application = plan_application(data, _SERVERS, environment={"PATH": "/bin"})
    assert [service.name for service in application.services] == ["ingest", "engine", "notifier"]
    assert [job.name for job in application.jobs] == ["migrate", "topics"]
    for program in (*application.jobs, *(service.program() for service in application.services)):
        settings = program.environment
        assert settings["DATABASE_URL"] == _SERVERS.database_url
        assert settings["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:2"
        assert settings["FIRSTVALUE_ADMIN_KEY"] == data.secrets()["admin_key"] == application.admin_key
        assert settings["FIRSTVALUE_NOTIFIER_SECRET_KEY"] == data.secrets()["notifier_secret_key"]
        assert settings["FIRSTVALUE_NOTIFIER_ALLOWED_ADDRESSES"] == "127.0.0.1"
        assert settings["FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS"] == "6"
        assert settings["FIRSTVALUE_PRODUCTION"] == "false"
        assert settings["PATH"] == "/bin"


def test_six_ports_are_told_as_they_are_announced(data: DataFolder) -> None:
    """The announced URLs carry the ports that the services were told to listen on."""
    application = plan_application(data, _SERVERS, environment={})
    ports = set()
    for service in application.services:
        public = service.environment[f"FIRSTVALUE_{service.name.upper()}_PORT"]
        private = service.environment[f"FIRSTVALUE_{service.name.upper()}_METRICS_PORT"]
        assert service.addresses == {
            "url": f"http://127.0.0.1:{public}",
            "metrics": f"http://127.0.0.1:{private}/metrics",
        }
        ports |= {public, private}
    assert len(ports) == 6


def test_what_the_caller_set_wins(data: DataFolder) -> None:
    """FIRSTVALUE_ variables of the caller are passed on, replace ours, and move ports and the announced key."""
    environment = {
        "FIRSTVALUE_ENGINE_PORT": "28080",
        "FIRSTVALUE_ADMIN_KEY": "mine",
        "FIRSTVALUE_INGEST_TICK_SECONDS": "1",
        "FIRSTVALUE_PRODUCTION": "",
        "FIRSTVALUE_NOTIFIER_ALLOWED_ADDRESSES": "127.0.0.9",
    }
    application = plan_application(data, _SERVERS, environment=environment)
    engine = application.services[1]
    assert engine.addresses["url"] == "http://127.0.0.1:28080"
    assert engine.environment["FIRSTVALUE_INGEST_TICK_SECONDS"] == "1"
    assert engine.environment["FIRSTVALUE_NOTIFIER_ALLOWED_ADDRESSES"] == "127.0.0.9"
    assert engine.environment["FIRSTVALUE_PRODUCTION"] == "false"
    assert application.admin_key == "mine"


def test_servers_that_run_already_are_not_started(data: DataFolder) -> None:
    """DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS each replace one server of ours."""
    progress = Silence()
    both = plan_servers(data, jars=data.path, environment={}, progress=progress)
    assert [part.name for part in both.parts] == ["postgres", "kafka"]
    one = plan_servers(data, jars=data.path, environment={"DATABASE_URL": "postgresql://there/d"}, progress=progress)
    assert [part.name for part in one.parts] == ["kafka"]
    assert one.connection == {"kafka": both.kafka_bootstrap_servers, "database": "postgresql://there/d"}
    given = {"DATABASE_URL": "postgresql://there/d", "KAFKA_BOOTSTRAP_SERVERS": "there:9092"}
    assert plan_servers(data, jars=data.path, environment=given, progress=progress).parts == ()


@pytest.mark.parametrize("given", ["abc", "-1", "0", "65536"])
def test_what_is_no_port_is_refused(data: DataFolder, given: str) -> None:
    """With the variable that has it."""
    with pytest.raises(StackError, match=f"FIRSTVALUE_INGEST_PORT={given}: write the number of a port"):
        plan_application(data, _SERVERS, environment={"FIRSTVALUE_INGEST_PORT": given})
