"""What a page shows to be typed: commands with the output below them, programs, and files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:firstvalue|make|python -m|pip|apt-get|docker) [^`\n]+)`")
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


def commands(text: str) -> Iterator[Step]:
    """All that stand in blocks: of consoles, whole ones of `sh`, and SQL for psql."""
    for language, block in _BLOCK.findall(text):
        match language:
            case "console":
                yield from _steps_of(block)
            case "sh":
                yield Step(block, [])
            case "sql":
                yield Step(f"psql -v ON_ERROR_STOP=1 -d $DATABASE_URL <<'END'\n{block}END", [])


def mentions(text: str) -> list[str]:
    """What begins with the name of a program in the text between the blocks, whole commands and bare verbs."""
    return _INLINE.findall(_BLOCK.sub("", text))


def programs(text: str, language: str) -> list[str]:
    """The blocks in a language."""
    return [block for found, block in _BLOCK.findall(text) if found == language]


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
    if not block.startswith("$ "):
        yield from (Step(line, []) for line in block.splitlines())
        return
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
