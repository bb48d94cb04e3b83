"""What tests need beyond Python: found here, else the test skips by name; in continuous integration it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NODE_PACKAGES = Path(__file__).parent / "node_modules"
_SUPPLY = "make test-tools"


def path_of(*names: str) -> str:
    """The path of the first of `names` that is on the PATH."""
    for name in names:
        if found := shutil.which(name):
            return found
    return _missing(names[0])


def node() -> str:
    """Node.js, with the published packages of tests/package-lock.json installed."""
    if not (NODE_PACKAGES / ".package-lock.json").exists():
        _missing("Node.js 20 or newer with the packages of tests/package.json")
    return path_of("node")


def run_module(folder: Path, source: str, given: str) -> str:
    """What a JavaScript program prints that reads `given`; `folder` is its own, and sees the packages."""
    program = node()
    packages = folder / "node_modules"
    if not packages.exists():
        packages.symlink_to(NODE_PACKAGES)
    module = folder / "program.mjs"
    module.write_text(source, encoding="utf-8")
    done = subprocess.run([program, str(module)], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def promtool(*arguments: str | Path, text: bytes | None = None) -> str:
    """Run Prometheus' promtool; its output. Fails with that when promtool does."""
    command = [path_of("promtool"), *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, check=False, timeout=240)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output


def _missing(what: str) -> str:
    message = f"{what} not found; `{_SUPPLY}` installs what it may"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
