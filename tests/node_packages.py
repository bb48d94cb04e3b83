"""Published JavaScript packages for tests: installed below tests/node by `make test`, run by Node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"
INSTALL = "npm ci --prefix tests/node"


def need_node() -> None:
    """Skip, by name and with what would help, where Node or the packages are missing; in CI fail instead."""
    missing = "Node.js 20 or newer and npm" if shutil.which("node") is None else None
    if missing is None and not (FOLDER / "node_modules").is_dir():
        missing = f"the packages of tests/node: {INSTALL}"
    if missing is not None:
        tell = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        tell(f"needs {missing}")


def run_module(folder: Path, source: str, given: str) -> str:
    """What a program prints that reads `given` from standard input; `folder` is its own, and sees the packages."""
    packages = folder / "node_modules"
    if not packages.exists():
        packages.symlink_to(FOLDER / "node_modules")
    program = folder / "program.mjs"
    program.write_text(source, encoding="utf-8")
    done = subprocess.run(["node", str(program)], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
