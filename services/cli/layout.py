"""Rows and sentences as lines of a terminal of any width: whatever does not fit is folded, nothing is cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

NONE = "-"
_GAP = "  "
# A time may be folded after its date.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d\S*)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?%?")
_WORD = re.compile(r"(\s*)(\S+)")

Column = list[str]


class Line(NamedTuple):
    """One line; a strong one says what is below it."""

    text: str
    strong: bool = False


def table_lines(titles: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None) -> Iterator[Line]:
    """A table in at most `width` characters: as it is, else with folded cells, else without the columns that tell
    nothing or have no title, else as a block per row. None is as wide as it takes."""
    columns = [[title, *(row[index] for row in rows)] for index, title in enumerate(titles)]
    wanted = [_widest(column) for column in columns]
    if width is None or _total(wanted) <= width:
        return _table(columns, wanted)
    rows = [[_TIME.sub(r"\1 \2", cell) for cell in row] for row in rows]
    columns = [[title, *(row[index] for row in rows)] for index, title in enumerate(titles)]
    for kept in (columns, [columns[0], *filter(_tells, columns[1:])]):
        least = [max(_widest(cell.split()) for cell in column) for column in kept]
        if _total(least) <= width:
            return _table(kept, _grown(least, list(map(_widest, kept)), width))
    return _blocks(titles, rows, width)


def prose_lines(text: str, *, width: int | None) -> Iterator[str]:
    """The lines of `text`, each folded at spaces under its own beginning when it is longer than `width`."""
    for line in text.split("\n"):
        if width is None or cell_len(line) <= width:
            yield line
        else:
            indent = " " * (len(line) - len(line.lstrip(" ")))
            first, *others = _folded(line, width - len(indent) - len(_GAP))
            yield indent + first
            yield from (f"{indent}{_GAP}{other}" for other in others)


def _tells(column: Column) -> bool:
    """Whether it has values under a title; the first column says whose they are."""
    title, *cells = column
    return bool(title) and any(cell != NONE for cell in cells)


def _table(columns: Sequence[Column], widths: Sequence[int]) -> Iterator[Line]:
    pads = [_padded, *(_flush_right if _is_of_numbers(column) else _padded for column in columns[1:])]
    for number, row in enumerate(zip(*columns, strict=True)):
        cells = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in range(max(map(len, cells))):
            parts = (cell[line] if line < len(cell) else "" for cell in cells)
            text = _GAP.join(pad(part, width) for pad, part, width in zip(pads, parts, widths, strict=True))
            yield Line(text.rstrip(), strong=number == 0)


def _blocks(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[Line]:
    """Each row by its first cell, and below it what else there is, as many to a line as fit."""
    for row in rows:
        for text in prose_lines(f"{titles[0]} {row[0]}", width=width):
            yield Line(text, strong=True)
        line = ""
        for title, cell in zip(titles[1:], row[1:], strict=True):
            if not title or cell == NONE:
                continue
            pair = f"{title}: {cell}"
            if line and cell_len(line) + cell_len(pair) + 2 * len(_GAP) > width:
                yield from _indented(line, width)
                line = ""
            line += f"{_GAP if line else ''}{pair}"
        if line:
            yield from _indented(line, width)


def _indented(line: str, width: int) -> Iterator[Line]:
    yield from map(Line, prose_lines(f"{_GAP}{line}", width=width))


def _folded(text: str, width: int) -> list[str]:
    """Lines of whole words; a word longer than `width` has a line of its own."""
    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    for space, word in _WORD.findall(text):
        if lines and cell_len(lines[-1]) + len(space) + cell_len(word) <= width:
            lines[-1] += space + word
        else:
            lines.append(word)
    return lines or [""]


def _grown(least: list[int], wanted: list[int], width: int) -> list[int]:
    """What is left of `width` given to the columns that take most lines, and of these to the one that lacks least."""
    widths = list(least)

    def need(index: int) -> tuple[int, int]:
        return -(-wanted[index] // max(widths[index], 1)), widths[index] - wanted[index]

    for _ in range(width - _total(widths)):
        neediest = max(range(len(widths)), key=need)
        widths[neediest] += widths[neediest] < wanted[neediest]
    return widths


def _is_of_numbers(column: Column) -> bool:
    """Whether its values are compared by their length."""
    cells = [cell for cell in column[1:] if cell != NONE]
    return bool(cells) and all(map(_NUMBER.fullmatch, cells))


def _flush_right(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _widest(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)
