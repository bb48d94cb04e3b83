"""docker-compose.yml and the Dockerfile keep what they promise; what runs is tried in tests/e2e."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import JOBS, ROOT, SERVICES, compose

_SERVICES: dict[str, Any] = compose()["services"]
_OURS = (*JOBS, *SERVICES)
_OBSERVABILITY = ("prometheus", "alertmanager", "grafana")


def test_the_file_keeps_to_the_schema_of_compose(tmp_path: Path) -> None:
    """As it is; a key that Compose does not know would be found."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text((ROOT / wrong.name).read_text(encoding="utf-8").replace("read_only:", "readonly:"))
    for file, status in ((ROOT / wrong.name, 0), (wrong, 1)):
        done = subprocess.run([*command, file], capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr


def test_everything_that_runs_is_known() -> None:
    """A new container belongs into one of these groups, so that the checks below see it."""
    assert set(_SERVICES) == {"postgres", "kafka", *_OURS, *_OBSERVABILITY}
    assert {name for name, service in _SERVICES.items() if service.get("profiles") == ["observability"]} == set(
        _OBSERVABILITY
    )


@pytest.mark.parametrize("name", [*_OURS, "prometheus", "alertmanager", "grafana"])
def test_our_containers_can_change_nothing(name: str) -> None:
    """Read-only root, no capabilities, no new privileges."""
    service = _SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", sorted(_SERVICES))
def test_images_are_pinned_ports_are_loopback_and_health_is_checked(name: str) -> None:
    """No `latest`, nothing open to the network, and every container that stays says whether it is well."""
    service = _SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    if name in JOBS:
        assert service["restart"] == "no"
    else:
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_services_start_after_their_jobs(name: str) -> None:
    """Migrations and topics are done, not merely started; and the jobs wait for healthy servers."""
    assert _SERVICES[name]["depends_on"] == {job: {"condition": "service_completed_successfully"} for job in JOBS}
    assert _SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert _SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}


def test_what_is_mounted_exists() -> None:
    """Rules, dashboards and configuration come from this repository."""
    for service in _SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            else:
                assert source in compose()["volumes"]


def test_the_image_runs_as_nobody_from_hashed_wheels() -> None:
    """Two stages, pinned; a user without a name; nothing is installed but what the lock names."""
    text = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE)
    assert len(stages) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", stage) for stage in stages)
    assert "--require-hashes" in text
    assert re.search(r"^USER 65532", text, flags=re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["python", "-m", "services.cli"\]', text, flags=re.MULTILINE)
