"""`firstvalue demo` as a whole, in days that are a third as long: the story is told and the proof holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from deploy.local.places import root
from tests.documented import is_shown

# Before anything has the length of a day, and in a folder of its own.
_SHORT = """
import sys
from deploy.demo import commands, scenario
scenario.DAY_SECONDS, commands._FOLDER = 0.25, sys.argv.pop()
from services.cli.__main__ import main
main()
"""


def test_the_demo_is_told_to_its_end_and_proved() -> None:
    """Customers live, the engine is killed meanwhile and comes back, and nothing is lost, doubled or invented."""
    folder = f".firstvalue-test/demo-{os.getpid()}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SHORT, "demo", folder], capture_output=True, text=True, timeout=200, check=False
        )
    finally:
        shutil.rmtree(root() / folder, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [
        "kill -9",
        "the engine is back after",
        "first value",
        "PROVED every signal that the topic owes",
        "Try next:",
    ]
    assert is_shown(done.stdout, ["…".join(told)]), done.stdout
