"""Tables on terminals that are too narrow for them: some columns show less, so that the others stay whole."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

# Between two columns, as rich pads them.
_GAP = 2
_DATE_CHARACTERS = 10
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\S+Z")

Narrowed = tuple[list[str], list[list[str]], list[str]]


def narrowed(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, width: int, yielding: Sequence[tuple[str, int]]
) -> Narrowed:
    """Titles and rows that fit into `width` characters if possible, and the titles of the columns left out. One after
    the other, the columns in `yielding` are cut to their number of characters; 0 leaves one out."""
    columns = [[title, *(row[index] for row in rows)] for index, title in enumerate(titles)]
    for title, characters in yielding:
        if _width(columns) <= width:
            break
        if characters:
            columns = [_cut_all(column, characters) if column[0] == title else column for column in columns]
        else:
            columns = [column for column in columns if column[0] != title]
    shown = [column[0] for column in columns]
    lines = [[column[line] for column in columns] for line in range(1, len(rows) + 1)]
    return shown, lines, [title for title in titles if title not in shown]


def _width(columns: list[list[str]]) -> int:
    return sum(max(map(cell_len, cells)) + _GAP for cells in columns) - _GAP


def _cut_all(column: list[str], characters: int) -> list[str]:
    """A title says what is below: it is not cut."""
    title, *cells = column
    return [title, *(_cut(cell, characters) for cell in cells)]


def _cut(cell: str, characters: int) -> str:
    if cell_len(cell) <= characters:
        return cell
    if characters >= _DATE_CHARACTERS and _TIME.fullmatch(cell):
        return cell[:_DATE_CHARACTERS]
    return set_cell_size(cell, characters - 1).rstrip() + "…"
