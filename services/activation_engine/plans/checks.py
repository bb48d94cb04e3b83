"""What the parts of a plan mean together: names that exist, no cycles, dates inside windows, rules that can fire."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from schemas.plan_file import AllCondition, AnyCondition, AtLeastCondition, EventCondition, PlanFile
from services.activation_engine.domain.encoding import PLAN_STATE_BYTES_MAX, state_bytes_max
from services.activation_engine.plans.compiler import compile_plan, dependencies
from services.activation_engine.plans.conditions import is_event, pattern_prefix
from services.activation_engine.plans.errors import Path, PlanError, nearest
from services.activation_engine.plans.source import Source
from services.activation_engine.plans.timing import check_segments, check_timing


def check(file: PlanFile, source: Source) -> list[PlanError]:
    """Every finding. Later checks run only when what they build on was found right."""
    found = [
        *_check_events(file, source),
        *_check_start(file, source),
        *_check_milestones(file, source),
        *check_segments(file, source),
    ]
    found = found or list(_check_cycles(file, source))
    return found or [*check_timing(file, source), *_check_size(file, source)]


def _check_events(file: PlanFile, source: Source) -> Iterator[PlanError]:
    for name in file.events:
        if "." not in name or "*" in name:
            hint = "plan names of events have a dot and no `*`, such as `report.generated`"
            yield source.error(("events", name), "wrong_name", f"`{name}` is not a plan name", hint, at_key=True)


def _check_start(file: PlanFile, source: Source) -> Iterator[PlanError]:
    for index, name in enumerate(file.start):
        if name in file.start[:index]:
            yield source.error(("start", index), "wrong_value", f"`{name}` is listed twice", "remove one")


def _check_milestones(file: PlanFile, source: Source) -> Iterator[PlanError]:
    if file.first_value not in file.milestones:
        message, hint = f"there is no milestone `{file.first_value}`", nearest(file.first_value, file.milestones)
        yield source.error(("first_value",), "unknown_milestone", message, hint)
    if not any(part.required for part in file.milestones.values()):
        message = "no milestone is required, so every account would be activated at once"
        hint = "leave `required: false` out of one"
        yield source.error(("milestones",), "rule_never_fires", message, hint, at_key=True)
    for name, part in file.milestones.items():
        for index, needed in enumerate(part.needs):
            path: Path = ("milestones", name, "needs", index)
            if needed not in file.milestones:
                hint = nearest(needed, file.milestones)
                yield source.error(path, "unknown_milestone", f"there is no milestone `{needed}`", hint)
        yield from _check_condition(part.when, file, source, ("milestones", name, "when"))


def _check_condition(condition: Any, file: PlanFile, source: Source, path: Path) -> Iterator[PlanError]:
    match condition:
        case str() if is_event(condition):
            yield from _check_event_name(condition, source, path)
        case str() if condition not in file.milestones:
            hint = f"for an event of this name write {{event: {condition}}}; {nearest(condition, file.milestones)}"
            yield source.error(path, "unknown_milestone", f"there is no milestone `{condition}`", hint.rstrip("; "))
        case EventCondition(event=name):
            yield from _check_event_name(name, source, (*path, "event"))
        case AnyCondition(any=parts):
            yield from _check_parts(parts, file, source, (*path, "any"))
        case AllCondition(all=parts):
            yield from _check_parts(parts, file, source, (*path, "all"))
        case AtLeastCondition(at_least=threshold):
            if threshold.n > len(threshold.of):
                message = f"{threshold.n} of {len(threshold.of)} conditions can never hold"
                hint = f"write n: {len(threshold.of)} or less"
                yield source.error((*path, "at_least", "n"), "unreachable_milestone", message, hint)
            yield from _check_parts(threshold.of, file, source, (*path, "at_least", "of"))


def _check_parts(parts: list[Any], file: PlanFile, source: Source, path: Path) -> Iterator[PlanError]:
    for index, part in enumerate(parts):
        yield from _check_condition(part, file, source, (*path, index))


def _check_event_name(name: str, source: Source, path: Path) -> Iterator[PlanError]:
    prefix = pattern_prefix(name)
    if "*" in (name if prefix is None else prefix):
        hint = "write `*` for every event, or `reports.*` for those that begin with `reports.`"
        yield source.error(path, "wrong_name", f"`{name}` has a `*` in the wrong place", hint)


def _check_cycles(file: PlanFile, source: Source) -> Iterator[PlanError]:
    try:
        TopologicalSorter({one: dependencies(part) for one, part in file.milestones.items()}).prepare()
    except CycleError as error:
        names = list(reversed(error.args[1]))
        message = f"unreachable: {' needs '.join(f'`{name}`' for name in names)}"
        hint = "take one of them out of `needs` or `when`"
        yield source.error(("milestones", names[0]), "cycle", message, hint, at_key=True)


def _check_size(file: PlanFile, source: Source) -> Iterator[PlanError]:
    size = state_bytes_max(compile_plan(file, ""))
    if size > PLAN_STATE_BYTES_MAX:
        message = f"an account could need {size} bytes of facts; at most {PLAN_STATE_BYTES_MAX} are kept"
        yield source.error(("milestones",), "too_large", message, "lower the counts or leave conditions out")
