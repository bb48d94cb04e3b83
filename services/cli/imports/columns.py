"""What each column of an import is: the account, a trait of some type, or the date on which a milestone was reached."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, NamedTuple

from services.cli.output import Misused

ACCOUNT = "account_id"
REACHED, WAIVED = "reached.", "waived."
_DATES = frozenset({"contract_start", "renewal_at"})
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_INTEGER_DIGITS_MAX = 18
_TRUTHS = {"true": True, "false": False}
# As ingest judges dates.
_YEARS = range(1970, 2200)
_AHEAD = timedelta(minutes=5)


class Kind(StrEnum):
    """The type of a column's values."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"


class Column(NamedTuple):
    """A column of the file: its place and title there, the trait that it sets, and of which type."""

    place: int
    title: str
    trait: str
    kind: Kind


class CellInvalid(Exception):
    """A cell that is not of its column's type; the message says what to write."""


def columns_of(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    mapped: Mapping[str, str],
    kinds: Mapping[str, Kind],
) -> list[Column]:
    """The account's column first, then the traits in the order of the file. Raises Misused.

    `mapped` gives columns another trait, or none for an empty one; `kinds` types by trait. A type that is not given is
    guessed: date for contract_start, renewal_at and reached.*; boolean for waived.*; text for names that end in `id`;
    number, or boolean, when every value that is not empty is one; else text. A number has no leading zero and at most
    18 digits.
    """
    _check_header(header, mapped)
    traits = [(index, title, mapped.get(title, title)) for index, title in enumerate(header)]
    used = [one for one in traits if one[2]]
    names = [trait for _, _, trait in used]
    if ACCOUNT not in names:
        near = get_close_matches(ACCOUNT, header, n=1, cutoff=0.4)
        raise Misused(
            f"No column is the account's id: name one {ACCOUNT}, or say which it is with --map "
            f"'{near[0] if near else 'COLUMN'}={ACCOUNT}'. There are: {', '.join(header)}."
        )
    if twice := {name for name in names if names.count(name) > 1}:
        raise Misused(
            f"Two columns would set {', '.join(sorted(twice))}: rename one, or leave it out with --map NAME=."
        )
    if unknown := [name for name in kinds if name not in names]:
        raise Misused(f"--type {unknown[0]}: no column sets it.")
    guessed = _guessed([index for index, _, _ in used], rows)
    columns = [
        Column(index, title, trait, kinds.get(trait) or _fixed(trait) or guessed[index]) for index, title, trait in used
    ]
    return sorted(columns, key=lambda one: one.trait != ACCOUNT)


def value_of(column: Column, cell: str, *, now: datetime) -> Any:
    """The trait's value, None for an empty cell. Raises CellInvalid."""
    text = cell.strip()
    if not text:
        return None
    if "\x00" in text or any("\ud800" <= one <= "\udfff" for one in text):
        raise CellInvalid("remove the characters that nobody can see")
    return _READERS[column.kind](column, text, now)


def _check_header(header: Sequence[str], mapped: Mapping[str, str]) -> None:
    if unknown := [title for title in mapped if title not in header]:
        raise Misused(f"--map {unknown[0]}: the file has no such column; it has {', '.join(header)}.")
    if unnamed := [index for index, title in enumerate(header, 1) if not title]:
        raise Misused(f"Column {unnamed[0]} has no name: write one into the first line.")
    if twice := [title for title in header if header.count(title) > 1]:
        raise Misused(f"The file has two columns {twice[0]}: rename one.")


def _fixed(trait: str) -> Kind | None:
    if trait in _DATES or trait.startswith(REACHED):
        return Kind.DATE
    if trait.startswith(WAIVED):
        return Kind.BOOLEAN
    return Kind.TEXT if trait.lower().endswith("id") else None


def _guessed(indexes: Sequence[int], rows: Iterable[Sequence[str]]) -> dict[int, Kind]:
    possible = {index: {Kind.NUMBER, Kind.BOOLEAN} for index in indexes}
    filled: set[int] = set()
    for cells in rows:
        for index, kinds in possible.items():
            text = cells[index].strip() if kinds else ""
            if text:
                filled.add(index)
                kinds -= {kind for kind in kinds if not _is(kind, text)}
    return {index: min(kinds) if kinds and index in filled else Kind.TEXT for index, kinds in possible.items()}


def _is(kind: Kind, text: str) -> bool:
    if kind is Kind.BOOLEAN:
        return text.lower() in _TRUTHS
    return _NUMBER.fullmatch(text) is not None and sum(map(str.isdigit, text)) <= _INTEGER_DIGITS_MAX


def _text(column: Column, text: str, now: datetime) -> Any:
    return text


def _number(column: Column, text: str, now: datetime) -> Any:
    if not _is(Kind.NUMBER, text):
        raise CellInvalid(
            "write a number like 12 or 12.5, or make the column text with --type " + f"{column.trait}=text"
        )
    return json.loads(text)


def _boolean(column: Column, text: str, now: datetime) -> Any:
    if text.lower() not in _TRUTHS:
        is_waiver = column.trait.startswith(WAIVED)
        instead = "" if is_waiver else f", or make the column text with --type {column.trait}=text"
        raise CellInvalid(f"write true or false{instead}")
    return _TRUTHS[text.lower()]


def _date(column: Column, text: str, now: datetime) -> Any:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CellInvalid("write the date like 2026-11-01 or 2026-11-01T09:00:00Z") from error
    if at.year not in _YEARS:
        raise CellInvalid(f"write a year from {_YEARS[0]} to {_YEARS[-1]}")
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    if column.trait.startswith(REACHED) and at - now > _AHEAD:
        raise CellInvalid("write a day that has come: it says when that was reached")
    return text


_READERS: dict[Kind, Callable[[Column, str, datetime], Any]] = {
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
}
