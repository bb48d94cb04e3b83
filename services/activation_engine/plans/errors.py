"""What is wrong with a plan file: where, what, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

Path = tuple[str | int, ...]


class PlanError(Struct, frozen=True):
    """One finding. `line` and `column` count from 1; `path` reads `milestones.first_data.due`; `code` is stable."""

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        where = f" {self.path}:" if self.path else ""
        return f"{place}:{where} {self.message}{'; ' + self.hint if self.hint else ''}"


class PlanErrors(ValueError):
    """The plan file cannot be used. `errors` is in the order of the file; `more_follow` when the rules can be checked
    only once these are right."""

    def __init__(self, errors: Iterable[PlanError], *, more_follow: bool = False) -> None:
        self.more_follow = more_follow
        self.errors: Sequence[PlanError] = sorted(errors, key=lambda one: (one.line, one.column, one.message))
        super().__init__("\n".join(map(str, self.errors)))

    def to_list(self) -> list[dict[str, Any]]:
        """For an answer in JSON."""
        return [asdict(one) for one in self.errors]


def path_text(path: Path) -> str:
    """`milestones.first_output.when.any[1]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint with the closest known word, or with all of them when there are few, or nothing."""
    choices = sorted(known)
    close = get_close_matches(word, choices, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known here: {', '.join(choices)}" if 0 < len(choices) <= 16 else ""
