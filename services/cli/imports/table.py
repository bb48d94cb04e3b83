"""A CSV file as rows with their lines, whatever program wrote it: byte-order marks, semicolons, quotes, UTF-16."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from services.cli.output import Misused, counted

_DELIMITERS = ",;\t|"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Row(NamedTuple):
    """The cells of one row, and the line of the file on which it begins."""

    line: int
    cells: list[str]


class Broken(NamedTuple):
    """A row that has not as many cells as the header, or that nobody can read."""

    line: int
    message: str


def text_of(content: bytes, name: str, *, encoding: str | None) -> str:
    """The file as text: in `encoding`, else UTF-16 with its mark, else UTF-8. Raises Misused."""
    chosen = encoding or ("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    try:
        return content.decode(chosen)
    except LookupError as error:
        raise Misused(
            f"--encoding {encoding}: there is no such encoding; cp1252 is the one of older Excels."
        ) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Misused(
            f"{name}, line {line}: not {chosen.removesuffix('-sig').upper()}. Save it as CSV UTF-8, or name what it is "
            "with --encoding, such as cp1252."
        ) from error


class Table:
    """The rows below the header; as often as asked."""

    def __init__(self, text: str, name: str, *, delimiter: str | None = None) -> None:
        """Raises Misused when there is no header."""
        self._text = text
        self._delimiter = delimiter or _delimiter_of(text)
        first = next(self._read(), None)
        if first is None or isinstance(first, Broken):
            raise Misused(f"{name} has no header: its first line names the columns, such as account_id,name,segment.")
        self.header = [title.strip() for title in first.cells]

    def rows(self) -> Iterator[Row | Broken]:
        """Every row but the header and empty lines."""
        read = self._read()
        next(read)
        width = len(self.header)
        for row in read:
            if isinstance(row, Broken) or len(row.cells) == width:
                yield row
            else:
                why = (
                    "put quotes around a cell that holds the separator"
                    if len(row.cells) > width
                    else "a cell is missing"
                )
                yield Broken(row.line, f"{counted(len(row.cells), 'cell')} where the header has {width}: {why}")

    def _read(self) -> Iterator[Row | Broken]:
        # newline="" leaves line ends inside of quotes alone.
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Broken(line, _in_words(str(error)))
                if "unexpected end" in str(error):
                    return
                continue
            if any(cell.strip() for cell in cells):
                yield Row(line, cells)


def _delimiter_of(text: str) -> str:
    """The separator that the header has most of, outside of quotes."""
    lines = (line for line in io.StringIO(text) if line.strip())
    outside = "".join(next(lines, "").split('"')[::2])
    return max(_DELIMITERS, key=outside.count)


def _in_words(message: str) -> str:
    if "unexpected end" in message:
        return 'a quote that is opened here is never closed: write " inside of a cell as ""'
    if "field larger" in message:
        return "a cell is longer than 131072 characters: a quote before it may not be closed"
    return 'a quote stands where none can: put quotes around the whole cell, and write " inside as ""'
