"""Where the local stack keeps its files, unless told otherwise."""

from collections.abc import Mapping
from pathlib import Path

_SOURCE_TREE = Path(__file__).resolve().parents[2]


def root() -> Path:
    """The repository, when this runs from one; else the current folder."""
    return _SOURCE_TREE if (_SOURCE_TREE / "pyproject.toml").exists() else Path.cwd()


def data_path(environment: Mapping[str, str]) -> Path:
    """The data folder: FIRSTVALUE_DATA_DIR, else `.firstvalue`."""
    return Path(environment.get("FIRSTVALUE_DATA_DIR") or root() / ".firstvalue")


def jars_path() -> Path:
    """Kafka's jars, shared by all stacks: beside the data folders, so that wiping one keeps them."""
    return root() / ".firstvalue-jars"
