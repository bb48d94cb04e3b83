"""docker-compose.yml and the Dockerfile keep what they promise; what runs is tried in tests/e2e."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.runtime import VERSION
from services.runtime.settings import SharedSettings
from tests.deployment import DEMO, JOBS, ROOT, SERVICES, compose

_SERVICES: dict[str, Any] = compose()["services"]
_OURS = (*JOBS, *SERVICES, *DEMO)
_OBSERVABILITY = ("prometheus", "alertmanager", "grafana")
# Imports everything with only what requirements/runtime.txt names in reach.
_WITHOUT_MORE = r"""
import importlib, pkgutil, re, sys
from importlib.metadata import packages_distributions
from pathlib import Path

def plain(name): return re.sub(r"[-_.]+", "-", name.lower())
locked = {plain(name) for name in re.findall(r"^([\w.-]+)", Path("requirements/runtime.txt").read_text(), re.M)}
own = {"firstvalue"}
missing = {top for top, names in packages_distributions().items() if not {*map(plain, names)} & (locked | own)}

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"{name} is not in requirements/runtime.txt")

sys.meta_path.insert(0, Without())
assert "psutil" in missing and "aiokafka" not in missing
import services
for module in pkgutil.walk_packages(services.__path__, "services."):
    if ".migrations" not in module.name:
        importlib.import_module(module.name)
"""


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
    for profile, members in (("observability", _OBSERVABILITY), ("demo", DEMO)):
        found = {name for name, service in _SERVICES.items() if service.get("profiles") == [profile]}
        assert found == set(members)


@pytest.mark.parametrize("name", [*_OURS, "prometheus", "alertmanager", "grafana"])
def test_our_containers_can_change_nothing(name: str) -> None:
    """Read-only root; where they write is a volume or memory."""
    service = _SERVICES[name]
    assert service["read_only"] is True
    assert "/tmp" in service.get("tmpfs", ()) or name in ("prometheus", "alertmanager")


@pytest.mark.parametrize("name", sorted(_SERVICES))
def test_containers_are_pinned_locked_closed_and_watched(name: str) -> None:
    """No `latest`, no capabilities to begin with, nothing open to the network, logs that end, and every container that
    stays is started again and says whether it is well."""
    service = _SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", service["image"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"] == {"driver": "local"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    if name in (*JOBS, *DEMO):
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"


def test_nothing_is_killed_before_it_has_drained() -> None:
    """Containers have ten seconds more than a service's own time to finish; servers may take longer than services."""
    drain_seconds = SharedSettings.model_fields["drain_seconds"].default
    for name in SERVICES:
        assert _SERVICES[name]["stop_grace_period"] == f"{drain_seconds + 10:.0f}s"
    assert {_SERVICES[name]["stop_grace_period"] for name in ("postgres", "kafka")} == {"1m"}


def test_secrets_come_from_outside_and_go_where_they_are_needed() -> None:
    """What has no default is asked for; creating topics needs no secret at all, a demo only the key."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+):\?", text)) == {"FIRSTVALUE_ADMIN_KEY", "FIRSTVALUE_NOTIFIER_SECRET_KEY"}
    assert set(_SERVICES["topics"]["environment"]) == {"KAFKA_BOOTSTRAP_SERVERS"}
    holders = {name for name in _SERVICES if "FIRSTVALUE_NOTIFIER_SECRET_KEY" in _SERVICES[name].get("environment", ())}
    assert holders == {"migrate", "notifier"}
    for name in DEMO:
        assert "DATABASE_URL" not in _SERVICES[name]["environment"]


@pytest.mark.parametrize("name", SERVICES)
def test_services_start_after_their_jobs(name: str) -> None:
    """Migrations and topics are done, not merely started; and the jobs wait for healthy servers."""
    assert _SERVICES[name]["depends_on"] == {job: {"condition": "service_completed_successfully"} for job in JOBS}
    assert _SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert _SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}


def test_the_page_pins_an_image_of_the_file() -> None:
    """The same version that the file names, or the example would change what runs."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    image = _SERVICES["postgres"]["image"]
    assert f"imagetools inspect {image}\n" in page
    assert f'postgres: {{image: "{image}@sha256:' in page


def test_pages_name_profiles_and_containers_that_exist() -> None:
    """Docker is not there to try the commands."""
    pages = [*ROOT.glob("docs/*.md"), ROOT / "docker-compose.yml", ROOT / "deploy" / "local" / "prometheus.py"]
    shown = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    profiles = {name for line in shown for name in re.findall(r"--profile (\w+)", line)}
    assert profiles == {name for service in _SERVICES.values() for name in service.get("profiles", ())}
    assert {name for line in shown for name in re.findall(r"docker compose logs --follow ([\w-]+)", line)} <= set(
        _SERVICES
    )


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
    released = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {_SERVICES[name]["image"] for name in _OURS} == {f"firstvalue:{released}"}
    assert released == VERSION


def test_the_image_gets_what_it_copies_and_no_more() -> None:
    """Nothing of a work tree, such as its `.env`, reaches the builder; and layers change in the order of their cost."""
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = re.findall(r"^COPY (\w\S*)", (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert kept[0] == "**"
    assert {line[1:] for line in kept if line.startswith("!")} == set(copied)
    assert copied[0] == "requirements/runtime.txt"


def test_what_the_image_installs_is_enough_to_run_it() -> None:
    """Every module of the services and all verbs, without the packages of the local stack and of the tests."""
    done = subprocess.run([sys.executable, "-c", _WITHOUT_MORE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
