"""Node packages and Chromium for the tests of this folder: skipped by name where they are missing, except in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
_SUPPLY = "make test-tools"


@pytest.fixture(scope="session")
def node() -> str:
    """The Node program, with the packages of package-lock.json beside the drivers."""
    program = shutil.which("node")
    if program is None or not (FOLDER / "node_modules" / ".package-lock.json").exists():
        _missing("Node.js 20 and the packages of tests/clients")
    return str(program)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        _missing("Chromium")
    return str(program)


def _missing(what: str) -> None:
    message = f"{what} not found; `{_SUPPLY}` installs what it may"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
