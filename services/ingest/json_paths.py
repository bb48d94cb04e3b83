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
        raise ValueError(f"write a path as keys joined by dots, such as properties.account_id, not {text[:80]!r}")
    return keys


def parse_paths(text: str) -> tuple[JsonPath, ...]:
    """Comma-separated paths, in their order; raises ValueError."""
    return tuple(parse_path(part) for part in text.split(",") if part.strip())


def value_at(document: Any, path: Iterable[str]) -> Any:
    """What stands at `path`, or None."""
    for key in path:
        if type(document) is not dict:
            return None
        document = document.get(key)
    return document


def holder_at(document: Any, path: JsonPath) -> dict[str, Any] | None:
    """The object in which the last key of `path` is, if it is there."""
    holder = value_at(document, path[:-1])
    return holder if type(holder) is dict and path[-1] in holder else None
