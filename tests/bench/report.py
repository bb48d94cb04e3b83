"""How every benchmark prints: machine, versions and settings first, a table of medians, one line of JSON last."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

RUNS = 5
_LIBRARIES = ("aiokafka", "aiohttp", "asyncpg", "fastapi", "httptools", "msgspec", "sqlalchemy", "uvicorn", "uvloop")


def print_header(title: str, settings: Mapping[str, object]) -> None:
    """Machine, versions and the settings that the figures depend on."""
    print(f"# {title}")
    print(f"machine   {_processor()}, {os.cpu_count()} cores, {_memory_gib():.1f} GiB, load {os.getloadavg()[0]:.2f}")
    print(f"python    {platform.python_version()} on {platform.system()} {platform.release()}, commit {_commit()}")
    print("libraries " + ", ".join(f"{name} {version(name)}" for name in _LIBRARIES))
    print("settings  " + ", ".join(f"{name}={value}" for name, value in settings.items()), flush=True)


def print_medians(rows: Mapping[str, Sequence[float]], *, title: str = "medians") -> dict[str, float]:
    """A row per figure with its median, least, greatest and number of runs; returns the medians by name."""
    figures = {
        name: [statistics.median(values), min(values), max(values), len(values)] for name, values in rows.items()
    }
    print_rows(("figure", "median", "least", "greatest", "runs"), figures, title=title)
    return {name: rounded(values[0]) for name, values in figures.items()}


def print_rows(columns: Sequence[str], rows: Mapping[str, Sequence[float]], *, title: str) -> None:
    """A table; the first column holds the names of the rows."""
    table = Table(*columns, title=title, title_justify="left")
    for name, values in rows.items():
        table.add_row(name, *(f"{rounded(value):,}" for value in values))
    Console(width=110).print(table)


def print_json(figures: Mapping[str, float | None]) -> None:
    """The last line: one object, units in the names."""
    print(json.dumps(dict(figures)), flush=True)


def rounded(value: float) -> float:
    """To whole numbers from 100 on, else to two places."""
    return round(value) if abs(value) >= 100 else round(value, 2)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _commit() -> str:
    try:
        found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
