"""Prometheus' own programs for the tests: found on the PATH, or told how to get them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL = "apt-get install --no-install-recommends prometheus"


def program(name: str) -> str:
    """The path of `promtool` or `prometheus`; without it the test skips, or fails in continuous integration."""
    found = shutil.which(name)
    if found is None:
        message = f"{name} is not installed; as root: {INSTALL}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def promtool(*arguments: str | Path, text: bytes | None = None) -> str:
    """Run promtool; its output. Fails with that when promtool does."""
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, check=False, timeout=240)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output
