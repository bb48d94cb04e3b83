"""Example streams: YAML files that say what happens to a few accounts and what has to be announced about them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from services.activation_engine.domain.event import COMMANDS
from services.activation_engine.plans.errors import Path, PlanError, PlanErrors, nearest
from services.activation_engine.plans.source import Source

DAYS_MAX = 1_000
RECORDS_MAX = 10_000
REPEATS_MAX = 1_000
TIMES_MAX = 1_000

_WHOSE = ("day", "account", "user", "role", "staff", "repeat", "every", "times")
_WHAT = ("event", "page", "screen", "identify", *sorted(COMMANDS - {"erase"}))
_EXPECTED = ("day", "account", "type", "milestone", "risk", "opportunity", "outcome", "reason")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_TOP_KEY = re.compile(r"^[A-Za-z_]", re.MULTILINE)


class Happening(Struct, frozen=True):
    """One line of `records`: what, to whom, on which day; `fields` are properties, traits or those of a command."""

    day: float
    account: str
    kind: str
    name: str | None
    fields: dict[str, Any]
    user: str | None = None
    role: str | None = None
    staff: bool = False
    repeat: int = 0
    place: PlanError | None = None

    def refused(self, message: str) -> PlanErrors:
        """The finding that this record cannot be applied."""
        assert self.place is not None, "records that were read have a place"
        return PlanErrors([replace(self.place, message=message)])


class Example(Struct, frozen=True):
    """A whole example: how many plan days it lasts, what happens, and what is announced."""

    days: float
    records: list[Happening]
    expected: list[dict[str, Any]]


def load_example(text: str, *, file: str = "example.yaml") -> Example:
    """An example from YAML. Raises PlanErrors with file, line and what to write instead."""
    return _Reader(Source(text, file)).read()


def with_expected(text: str, lines: list[dict[str, Any]]) -> str:
    """The example's text with `expected` replaced by these lines; everything else, comments too, stays."""
    block = "expected:" + ("\n" if lines else " []\n") + "".join(f"  - {_flow(line)}\n" for line in lines)
    begin = re.search(r"^expected:", text, re.MULTILINE)
    if begin is None:
        return f"{text.rstrip()}\n\n{block}"
    following = _TOP_KEY.search(text, begin.end())
    rest = "\n" + text[following.start() :] if following else ""
    return text[: begin.start()] + block + rest


def _flow(line: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {_scalar(value)}" for name, value in line.items()) + "}"


def _scalar(value: Any) -> str:
    """A number or a text, in quotes where YAML would take it for something else."""
    if isinstance(value, float):
        return f"{value:g}"
    plain = _PLAIN.fullmatch(str(value)) and str(value).lower() not in ("null", "true", "false")
    return str(value) if plain else json.dumps(str(value), ensure_ascii=False)


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self) -> Example:
        data = self._mapping((), self._source.data, ("days", "records", "expected"))
        days = self._number(("days",), data.get("days"), DAYS_MAX)
        records = self._list(("records",), data.get("records"))
        expected = self._list(("expected",), data.get("expected", []))
        return Example(
            days,
            [one for index, entry in enumerate(records) for one in self._series(("records", index), entry)],
            [self._expected(("expected", index), entry) for index, entry in enumerate(expected)],
        )

    def _series(self, path: Path, entry: Any) -> Iterator[Happening]:
        """One line: what it says, `times` over, `every` so many days."""
        first = self._happening(path, entry)
        times = int(self._number((*path, "times"), entry.get("times", 1), TIMES_MAX))
        every = self._number((*path, "every"), entry.get("every", 1), DAYS_MAX)
        yield from (replace(first, day=first.day + number * every) for number in range(times))

    def _happening(self, path: Path, entry: Any) -> Happening:
        entry = self._mapping(path, entry, (*_WHOSE, *_WHAT, "properties"))
        what = [one for one in _WHAT if one in entry]
        if len(what) != 1:
            raise self._wrong(path, "a record is one thing that happens", f"write one of {', '.join(_WHAT)}")
        kind = what[0]
        usage = kind in ("event", "page", "screen")
        value, fields = entry[kind], {}
        if usage:
            fields = self._fields((*path, "properties"), entry.get("properties"))
        else:
            fields = self._fields((*path, kind), value)
        return Happening(
            day=self._number((*path, "day"), entry.get("day"), DAYS_MAX),
            account=self._text((*path, "account"), entry.get("account")),
            kind="track" if kind == "event" else kind if usage or kind == "identify" else "command",
            name=self._text((*path, kind), value) if usage else None if kind == "identify" else kind,
            fields=fields,
            user=self._optional((*path, "user"), entry.get("user")),
            role=self._optional((*path, "role"), entry.get("role")),
            staff=entry.get("staff") is True,
            repeat=int(self._number((*path, "repeat"), entry.get("repeat", 0), REPEATS_MAX)),
            place=self._source.error(path, "wrong_example", ""),
        )

    def _expected(self, path: Path, entry: Any) -> dict[str, Any]:
        line = self._mapping(path, entry, _EXPECTED)
        day = self._number((*path, "day"), line.get("day"), DAYS_MAX)
        return {**line, "day": day}

    def _mapping(self, path: Path, value: Any, known: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(path, "this is not a mapping of keys and values", f"write {', '.join(known[:3])}")
        for key in value:
            if key not in known:
                raise self._wrong((*path, key), f"unknown key `{key}`", nearest(key, known))
        return value

    def _fields(self, path: Path, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(path, "this is not a mapping of keys and values", "write {key: value}")
        return value

    def _list(self, path: Path, value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > RECORDS_MAX:
            raise self._wrong(path, f"`{path[-1]}` is not a list of at most {RECORDS_MAX}", "begin each line with `- `")
        return value

    def _number(self, path: Path, value: Any, most: int) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise self._wrong(path, f"`{path[-1]}` is not a number from 0 to {most}", f"write `{path[-1]}: 3`")
        return float(value)

    def _text(self, path: Path, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise self._wrong(path, f"`{path[-1]}` is not a text", f"write `{path[-1]}: <name>`")
        return value

    def _optional(self, path: Path, value: Any) -> str | None:
        return None if value is None else self._text(path, value)

    def _wrong(self, path: Path, message: str, hint: str) -> PlanErrors:
        return PlanErrors([self._source.error(path, "wrong_example", message, hint)])
