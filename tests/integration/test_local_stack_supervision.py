"""Nothing of a stack outlives it, and what dies while it runs comes back: shown with stand-in services."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest

from deploy.local.data_folder import DataFolder
from deploy.local.errors import AlreadyRunning, StackError
from deploy.local.processes import Launcher
from deploy.local.running import stop_running, wait_until_running
from tests.fakes.stand_in_stack import stand_in_stack
from tests.waiting import wait_until

_DEADLINE_SECONDS = 20.0


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    """A folder that was just made."""
    folder = DataFolder(tmp_path / "stack")
    folder.create()
    return folder


@contextmanager
def _supervised(data: DataFolder, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = (sys.executable, "-m", "tests.fakes.stand_in_stack", str(data.path), *words)
    with subprocess.Popen(command, start_new_session=True) as process:
        assert wait_until_running(data, is_hopeless=lambda: process.poll() is not None) is not None
        yield process
        process.kill()


@pytest.fixture
def supervisor(data: DataFolder) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own, ready."""
    with _supervised(data) as process:
        yield process


@pytest.fixture
def tried_supervisor(data: DataFolder) -> Iterator[subprocess.Popen[bytes]]:
    """The same, with a service that ignores SIGTERM."""
    with _supervised(data, "stubborn") as process:
        yield process


def _processes(data: DataFolder) -> dict[str, Any]:
    return {process["name"]: process for process in data.read_state()["processes"]}


def _alive(pids: list[int]) -> list[int]:
    alive = []
    for pid in pids:
        # It may be gone between any two looks.
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                alive.append(pid)
    return alive


def _family(supervisor: subprocess.Popen[bytes]) -> list[int]:
    return [child.pid for child in psutil.Process(supervisor.pid).children(recursive=True)]


def _free(data: DataFolder) -> bool:
    return data.lock_holder() is None


def test_a_killed_supervisor_leaves_nothing_behind(data: DataFolder, tried_supervisor: subprocess.Popen[bytes]) -> None:
    """After SIGKILL of the supervisor its services end, also one that ignores SIGTERM, before the folder is free."""
    pids = _family(tried_supervisor)
    assert len(pids) == 3  # two services and the keeper
    tried_supervisor.kill()
    tried_supervisor.wait()
    with pytest.raises(AlreadyRunning), data.locked():
        pass
    wait_until(lambda: _free(data))
    wait_until(lambda: not _alive(pids))


def test_a_killed_process_group_leaves_nothing_behind(data: DataFolder, supervisor: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the supervisor's whole group does not reach the keeper, which then ends the services."""
    pids = _family(supervisor)
    os.killpg(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not _alive(pids))
    assert _free(data)


def test_leftovers_of_a_killed_keeper_are_ended_by_the_next_start(
    data: DataFolder, tried_supervisor: subprocess.Popen[bytes]
) -> None:
    """When supervisor and keeper are both killed, the next stack ends the services before it starts its own."""
    pids = _family(tried_supervisor)
    keeper = next(pid for pid in pids if any("keeper" in word for word in psutil.Process(pid).cmdline()))
    services = [pid for pid in pids if pid != keeper]
    tried_supervisor.kill()
    os.kill(keeper, signal.SIGKILL)
    tried_supervisor.wait()
    wait_until(lambda: _free(data))
    assert _alive(services) == services
    with stand_in_stack(data, stopping=Event()):
        assert _alive(services) == []


def test_a_service_that_dies_is_started_again(data: DataFolder, supervisor: subprocess.Popen[bytes]) -> None:
    """A killed service is back, twice in a row, and the recorded state says so; the supervisor stays."""
    for restarts in (1, 2):
        before = _processes(data)["service"]
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(lambda count=restarts: _processes(data)["service"]["restarts"] == count)  # type: ignore[misc]
        assert _processes(data)["service"]["pid"] != before["pid"]
        assert _alive([_processes(data)["service"]["pid"]])
    assert supervisor.poll() is None


def test_down_stops_a_stack_in_good_order(data: DataFolder, supervisor: subprocess.Popen[bytes]) -> None:
    """`down` ends every process and frees the folder; the second one finds nothing to stop."""
    pids = _family(supervisor)
    assert stop_running(data)
    assert supervisor.wait(timeout=5) == 0
    assert _alive(pids) == []
    assert not stop_running(data)


def test_a_second_start_in_the_folder_is_refused(data: DataFolder, supervisor: subprocess.Popen[bytes]) -> None:
    """Two stacks never share a folder; the running one is found with its connection."""
    with pytest.raises(AlreadyRunning), stand_in_stack(data, stopping=Event()):
        pass
    assert wait_until_running(data, is_hopeless=lambda: True) == data.read_state()["connection"]
    assert supervisor.poll() is None


def test_a_job_that_fails_stops_the_start_and_shows_its_last_words(data: DataFolder) -> None:
    """The error carries the exit code and the end of the job's log; what had started is stopped."""
    data.log("job").write_text("words of an earlier run\n")
    job = ("sh", "-c", "echo the schema is newer than this program; exit 3")
    with pytest.raises(StackError, match=r"(?s)job failed with exit code 3.*the schema is newer") as raised:  # noqa: SIM117
        with stand_in_stack(data, stopping=Event(), job=job):
            pass
    assert "earlier run" not in str(raised.value)
    assert _free(data)
    assert data.read_state() == {}


def test_a_stop_while_starting_ends_the_start(data: DataFolder) -> None:
    """A stack told to stop during a job does not wait for the job to finish by itself."""
    stopping = Event()
    outcome: list[BaseException] = []

    def start() -> None:
        try:
            with stand_in_stack(data, stopping=stopping, job=("sleep", "600")):
                pass
        except StackError as error:
            outcome.append(error)

    thread = Thread(target=start)
    thread.start()
    wait_until(lambda: (data.logs / "job.log").exists())
    stopping.set()
    thread.join(timeout=_DEADLINE_SECONDS)
    assert "job" in str(outcome[0])
    assert _free(data)


def test_a_wait_that_takes_too_long_says_where_to_look(data: DataFolder) -> None:
    """The error names what was waited for, how long, and the folder of the logs."""
    with data.locked() as lock:
        launcher = Launcher(data=data, stopping=Event(), lock=lock)
        with pytest.raises(StackError, match=rf"moon was not ready within 0 s; see {data.logs}"):
            launcher.wait_until(lambda: False, what="moon", timeout_seconds=0.1)
        launcher.close()
