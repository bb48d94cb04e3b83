"""The console blocks of a page as shell commands with the output that the page shows; files that it shows as files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.(?:yaml|csv|json))\n")


class Step(NamedTuple):
    """A command as typed, and the lines of output below it; `…` stands for anything."""

    command: str
    output: list[str]


def steps(text: str) -> Iterator[Step]:
    """Every command of every console block."""
    for language, block in _BLOCK.findall(text):
        if language == "console":
            yield from _steps_of(block)


def shown_files(text: str) -> dict[str, str]:
    """Blocks that begin with a comment naming a file, by that name, without the comment."""
    found = ((_FILE.match(block), block) for _, block in _BLOCK.findall(text))
    return {name.group(1): block[name.end() :] for name, block in found if name is not None}


def write_files(text: str, folder: Path) -> None:
    """Put the files that a page shows into `folder`."""
    for name, content in shown_files(text).items():
        (folder / name).write_text(content, encoding="utf-8")


def is_shown(output: str, expected: list[str]) -> bool:
    """Whether the expected lines stand in the output in this order, spaces aside."""
    parts = [part for line in expected for part in line.split("…")]
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in parts)
    return re.search(pattern, " ".join(output.split()), re.DOTALL) is not None


def _steps_of(block: str) -> Iterator[Step]:
    command, output = "", list[str]()
    for line in block.splitlines():
        if command and not _is_whole(command):
            command += "\n" + line
        elif line.startswith("$ "):
            if command:
                yield Step(command, output)
            command, output = line.removeprefix("$ "), []
        else:
            output.append(line)
    if command:
        yield Step(command, output)


def _is_whole(command: str) -> bool:
    """Whether all quotes are closed and the line does not go on."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return not command.endswith("\\")
