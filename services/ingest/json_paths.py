"""Places inside a client's JSON object, as settings name them: keys joined by dots, such as `properties.account_id`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

JsonPath = tuple[str, ...]

DEPTH_MAX: Final = 32


def parse_path(text: str) -> JsonPath:
    """The keys of one path; raises ValueError unless it has 1 to DEPTH_MAX keys and none is empty."""
    keys = tuple(text.strip().split("."))
    if not all(keys) or len(keys) > DEPTH_MAX or "\0" in text:
        raise _unreadable(text)
    return keys


def new_path(text: str) -> JsonPath:
    """A path as somebody writes it now; raises ValueError also for JSONPath's `$.a` and `a[0]`, which find nothing."""
    path = parse_path(text)
    if path[0] == "$" or "[" in text:
        raise _unreadable(text)
    return path


def parse_paths(text: str) -> tuple[JsonPath, ...]:
    """Comma-separated new paths, in their order; raises ValueError."""
    return tuple(new_path(part) for part in text.split(",") if part.strip())


def value_at(document: Any, path: Iterable[str]) -> Any:
    """What stands at `path`, or None."""
    for key in path:
        if type(document) is not dict:
            return None
        document = document.get(key)
    return document


def holders_at(document: Any, path: JsonPath) -> list[dict[str, Any]]:
    """The object that has the last key of `path`, if it is there; of an array on the way, those of all its elements."""
    holders = []
    for position, key in enumerate(path):
        if type(document) is list:
            return [holder for element in document for holder in holders_at(element, path[position:])]
        if type(document) is not dict or key not in document:
            return []
        holders = [document]
        document = document[key]
    return holders


def _unreadable(text: str) -> ValueError:
    return ValueError(f"write a path as keys joined by dots, such as properties.account_id, not {text[:80]!r}")
