"""Rows to `set` commands, the same bytes at every run, and what is wrong with a row: line, column, what to write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from schemas.timestamps import to_milliseconds, to_rfc3339
from services.cli.imports.columns import WAIVED, CellInvalid, Column, value_of
from services.cli.imports.table import Broken, Row, Table
from services.cli.sending import Item

_ID_BYTES_MAX = 255
# What spreadsheets and programs write for "unknown"; ingest has the whole list.
_PLACEHOLDERS = frozenset({"null", "undefined", "none", "nan", "n/a", "#n/a", "0", "-"})


class RowError(NamedTuple):
    """Where something is wrong in the file, and what to write instead; no column when it is the whole row."""

    line: int
    column: str | None
    message: str


@dataclass(slots=True)
class AccountImport:
    """The commands of a table. `as_of` is the time that the file speaks of: of two values the later time wins.
    `unwaivable` are milestones that are the first value."""

    table: Table
    columns: Sequence[Column]
    as_of: datetime
    now: datetime
    unwaivable: Collection[str] = ()
    _lines: dict[str, int] = field(default_factory=dict)

    def checked(self) -> Iterator[Item | RowError]:
        """A command or an error for every row, in the order of the file."""
        self._lines.clear()
        for row in self.table.rows():
            if isinstance(row, Broken):
                yield RowError(row.line, None, row.message)
            else:
                yield from self._checked_row(row)

    def _checked_row(self, row: Row) -> Iterator[Item | RowError]:
        account, *traits = self.columns
        account_id = row.cells[account.place].strip()
        errors = [RowError(row.line, account.title, what) for what in self._wrong_with(account_id, row.line)]
        values: dict[str, Any] = {}
        for column in traits:
            try:
                value = value_of(column, row.cells[column.place], now=self.now)
            except CellInvalid as invalid:
                errors.append(RowError(row.line, column.title, str(invalid)))
            else:
                values |= {} if value is None else {column.trait: value}
                errors += [RowError(row.line, column.title, what) for what in self._refused(column.trait, value)]
        if errors:
            yield from errors
        else:
            yield Item(f"line {row.line}", self._command(account_id, values))

    def _wrong_with(self, account_id: str, line: int) -> Iterator[str]:
        if not account_id or account_id.lower() in _PLACEHOLDERS:
            yield "write the account's id, as the product sends it"
        elif len(account_id.encode("utf-8", "replace")) > _ID_BYTES_MAX:
            yield f"shorten the account's id to at most {_ID_BYTES_MAX} bytes of UTF-8"
        elif (before := self._lines.setdefault(account_id, line)) != line:
            yield f"keep one row for {account_id}: line {before} is about it too"

    def _refused(self, trait: str, value: Any) -> Iterator[str]:
        milestone = trait.removeprefix(WAIVED)
        if value and trait != milestone and milestone in self.unwaivable:
            yield f"write false or nothing: {milestone} is the first value, which cannot be waived"

    def _command(self, account_id: str, traits: dict[str, Any]) -> dict[str, Any]:
        said = json.dumps([account_id, traits, to_milliseconds(self.as_of)], sort_keys=True, ensure_ascii=False)
        return {
            "command": "set",
            "account_id": account_id,
            "traits": traits,
            "timestamp": to_rfc3339(to_milliseconds(self.as_of)),
            "message_id": f"import-{hashlib.sha256(said.encode()).hexdigest()[:40]}",
        }
