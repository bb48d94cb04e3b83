"""`up`, `down` and `status` as people and scripts meet them, around a stack of stand-in services."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.data_folder import DataFolder
from deploy.local.running import wait_until_running


def _firstvalue(data: DataFolder, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "services.cli", *words),
        env=os.environ | {"FIRSTVALUE_DATA_DIR": str(data.path)} | ({} if path is None else {"PATH": path}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    """A folder that nobody made yet."""
    return DataFolder(tmp_path / "stack")


@pytest.fixture
def running(data: DataFolder) -> Iterator[DataFolder]:
    """The same, with a stack in it."""
    data.create()
    with subprocess.Popen((sys.executable, "-m", "tests.fakes.stand_in_stack", str(data.path))) as process:
        assert wait_until_running(data, is_hopeless=lambda: process.poll() is not None) is not None
        yield data
        process.terminate()


def test_without_a_stack_status_and_down_say_so(data: DataFolder) -> None:
    """`status` exits 3 and names `up`, `down` is content; neither makes the folder."""
    status = _firstvalue(data, "status")
    assert (status.returncode, status.stdout) == (3, "")
    assert "firstvalue up" in status.stderr
    shown = json.loads(_firstvalue(data, "status", "--json").stdout)
    assert shown == {
        "running": False, "ready": False, "data_folder": str(data.path), "processes": {}, "connection": None,
        "glance": None,
    }  # fmt: skip
    down = _firstvalue(data, "down")
    assert (down.returncode, down.stderr) == (0, f"no stack runs in {data.path}\n")
    assert not data.path.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """One line with the path and the variable that names it, and no traceback."""
    (tmp_path / "file").touch()
    for words in (("up",), ("up", "--detach")):
        refused = _firstvalue(DataFolder(tmp_path / "file" / "stack"), *words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "FIRSTVALUE_DATA_DIR" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_prometheus_that_is_not_installed_is_told_before_anything_starts(data: DataFolder, tmp_path: Path) -> None:
    """One line with two ways to get it; not even the folder is made."""
    for words in (("up", "--observability"), ("up", "--observability", "--detach")):
        refused = _firstvalue(data, *words, path=str(tmp_path))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "apt-get install --no-install-recommends prometheus" in refused.stderr
        assert "docker compose --profile observability up" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert not data.path.exists()


def test_prometheus_is_not_added_to_a_stack_that_runs(running: DataFolder, tmp_path: Path) -> None:
    """The second `up --observability` fails, says what to do and leaves the stack as it is."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "prometheus").touch(mode=0o755)
    refused = _firstvalue(running, "up", "--observability", path=str(programs))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "runs without Prometheus" in refused.stderr
    assert running.lock_holder() == running.read_state()["supervisor"]


def test_a_second_up_says_that_it_runs_and_prints_the_same(running: DataFolder) -> None:
    """The second `up`, in the foreground or detached, succeeds with the connection of the first as its only output."""
    connection = running.read_state()["connection"]
    for words in (("up", "--json"), ("up", "--json", "--detach")):
        again = _firstvalue(running, *words)
        assert again.returncode == 0
        assert json.loads(again.stdout) == connection
        assert "runs already" in again.stderr
    assert running.lock_holder() == running.read_state()["supervisor"]


def test_status_shows_every_process(running: DataFolder) -> None:
    """Text names state, process ids and logs; JSON carries the same."""
    status = _firstvalue(running, "status")
    assert status.returncode == 0
    shown = json.loads(_firstvalue(running, "status", "--json").stdout)
    assert (shown["running"], shown["ready"]) == (True, True)
    assert shown["connection"] == running.read_state()["connection"]
    for name in ("server", "service"):
        assert str(shown["processes"][name]["pid"]) in status.stdout
        assert shown["processes"][name]["log"] in status.stdout


def test_down_asks_before_it_deletes(running: DataFolder) -> None:
    """`--wipe` needs a yes: without it everything stays as it is and runs on."""
    unasked = _firstvalue(running, "down", "--wipe")
    assert (unasked.returncode, "Say so with --yes" in unasked.stderr) == (2, True)
    assert running.lock_holder() is not None
    done = _firstvalue(running, "down", "--wipe", "--yes")
    assert done.returncode == 0
    assert running.lock_holder() is None
    assert not running.path.exists()
