"""Places inside a client's JSON object, as settings name them: keys joined by dots, such as `properties.account_id`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

JsonPath = tuple[str, ...]
# Of several paths: by key what is below, or the path that ends there.
Tree: TypeAlias = "dict[str, Tree | JsonPath]"

_HOLDERS: Final = (dict, list)

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


def tree_of(paths: Iterable[JsonPath]) -> Tree:
    """Paths as objects inside of objects, each whole at its end; one that leads into the end of another is left out."""
    tree: Tree = {}
    for path in sorted(paths, key=len):
        branch: Tree | JsonPath = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {}) if isinstance(branch, dict) else branch
        if isinstance(branch, dict):
            branch[path[-1]] = path
    return tree


def places_in(document: Any, tree: Tree) -> Iterator[tuple[dict[str, Any], JsonPath]]:
    """Each path of `tree` that leads somewhere, and the object that has its last key; of an array on the way, those of
    all its elements. All paths are followed at once: an array of thousands is gone through once, not for each."""
    left: list[tuple[Any, Tree]] = [(document, tree)]
    while left:
        value, branch = left.pop()
        if type(value) is list:
            left += [(element, branch) for element in value if type(element) in _HOLDERS]
        elif type(value) is dict:
            for key in branch.keys() & value.keys():
                below = branch[key]
                if isinstance(below, dict):
                    left.append((value[key], below))
                else:
                    yield value, below


def _unreadable(text: str) -> ValueError:
    return ValueError(f"write a path as keys joined by dots, such as properties.account_id, not {text[:80]!r}")
