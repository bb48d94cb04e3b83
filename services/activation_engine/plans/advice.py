"""What is allowed in a plan and yet worth a word: event names that nobody ever sent, and help that comes late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from msgspec import Struct

from schemas.plan_file import PlanFile
from services.activation_engine.plans.compiler import compile_plan
from services.activation_engine.plans.errors import Path, PlanError
from services.activation_engine.plans.references import event_names
from services.activation_engine.plans.selectors import pattern_prefix
from services.activation_engine.plans.shape import read_shape
from services.activation_engine.plans.source import Source

_NEVER_SEEN = "event_never_seen"
_NEVER_SENT = " was never sent"
_NEAREST = "the nearest names that were sent: "
_NO_NEAREST = "send it once to be sure of its name, or list the sent names with `firstvalue event names`"
_NEAREST_MAX = 3
# Comparing two names takes some 20 microseconds, and a plan may ask for thousands where ten thousand were sent: so many
# are compared, and the names after that are told without their nearest.
COMPARED_MAX = 50_000


class SeenName(Struct, frozen=True):
    """One row of the engine's catalogue: a name that was sent, whether it used to come daily and has stopped, and how
    much log time, without holes, passed since it came last."""

    name: str
    silent: bool = False
    ago_ms: int = 0


class NeverSent(NamedTuple):
    """A warning about a name, the name, and the nearest that were sent or ""; names in backticks."""

    warning: PlanError
    name: str
    nearest: str


def advise(text: str, *, file: str, seen: Iterable[SeenName] | None = None) -> list[PlanError]:
    """Warnings about a plan that passed the checks, in the order of the file. Without `seen` no name is judged."""
    source = Source(text, file)
    shape, _ = read_shape(source)
    assert shape is not None, "only a valid plan is advised on"
    found = list(_late_help(shape, source))
    if seen is not None:
        found += _names(shape, source, {one.name: one for one in seen})
    return sorted(found, key=lambda one: (one.line, one.column))


def never_sent(warnings: Iterable[PlanError]) -> list[NeverSent]:
    """The warnings about names that were never sent."""
    return [NeverSent(one, *_told(one)) for one in warnings if one.code == _NEVER_SEEN]


def _told(warning: PlanError) -> tuple[str, str]:
    nearest = "" if warning.hint == _NO_NEAREST else warning.hint.removeprefix(_NEAREST)
    return warning.message.removesuffix(_NEVER_SENT), nearest


def seen_names(rows: Iterable[Mapping[str, Any]]) -> list[SeenName]:
    """The rows of `GET /v1/catalog`. Raises ValueError when they are something else."""
    try:
        return [SeenName(str(row["name"]), row.get("silent") is True) for row in rows]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError('expected {"data": [{"name": …}, …]}') from error


def _late_help(file: PlanFile, source: Source) -> Iterator[PlanError]:
    plan = compile_plan(file, "")
    for segment in plan.segments.values():
        at, window = segment.escalate_after_ms, segment.window_ms
        if at is not None and window is not None and at > window:
            days, limit = f"{at / plan.day_ms:g}", f"{window / plan.day_ms:g}"
            message = f"escalates on day {days}, after the window of {limit} days of segment `{segment.id}` is over"
            yield source.error(("escalate", "at", segment.id), "escalates_late", message, "make it earlier")


def _names(file: PlanFile, source: Source, seen: Mapping[str, SeenName]) -> Iterator[PlanError]:
    folded: dict[str, list[str]] = {}
    for one in sorted(seen):
        folded.setdefault(_folded(one), []).append(one)
    compared = 0
    told: set[str] = set()
    for path, name in _sent_names(file):
        if name in told:
            continue
        told.add(name)
        if name in seen:
            if seen[name].silent:
                message = f"`{name}` used to arrive daily and has stopped"
                yield source.error(path, "event_silent", message, "look whether the product still sends it")
        elif not _known_pattern(name, file, seen):
            compared += len(folded)
            hint = _nearest(name, folded if compared <= COMPARED_MAX else {})
            yield source.error(path, _NEVER_SEEN, f"`{name}`{_NEVER_SENT}", hint)


def _sent_names(file: PlanFile) -> Iterator[tuple[Path, str]]:
    """The names that must come from outside: those that `events` maps to, and what is asked for without a mapping."""
    for plan_name, sent in file.events.items():
        for index, name in enumerate(sent):
            yield ("events", plan_name, index), name
    for path, name in event_names(file):
        if name not in file.events:
            yield path, name


def _known_pattern(name: str, file: PlanFile, seen: Mapping[str, SeenName]) -> bool:
    prefix = pattern_prefix(name)
    return prefix is not None and any(one.startswith(prefix) for one in (*seen, *file.events))


def _nearest(name: str, folded: Mapping[str, list[str]]) -> str:
    """What to do about a name that was never sent; `folded` are those that were, by their words."""
    words = get_close_matches(_folded(name), folded, n=_NEAREST_MAX)
    close = [f"`{one}`" for word in words for one in folded[word]][:_NEAREST_MAX]
    return f"{_NEAREST}{', '.join(close)}" if close else _NO_NEAREST


def _folded(name: str) -> str:
    """The words of a name whatever their order and case: `data.imported` is near to `Import Data`."""
    return " ".join(sorted(name.lower().replace(".", " ").replace("_", " ").split()))
