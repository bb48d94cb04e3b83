"""Files that people name on the command line; `-` is standard input."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from services.cli.output import Misused

_BYTES_MAX = 268_435_456


def read_file(path: str) -> bytes:
    """All of it. Raises Misused when it cannot be read, or is larger than 256 MiB."""
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise Misused(f"Cannot read {path}: {error.strerror}.") from error
    if len(content) > _BYTES_MAX:
        raise Misused(f"{path} is larger than {_BYTES_MAX // 1_048_576} MiB: split it.")
    return content
