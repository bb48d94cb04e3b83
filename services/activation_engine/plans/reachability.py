"""Conditions that can never hold, and the milestones that nothing can reach because of them."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from schemas.plan_conditions import AdoptionCondition, AtLeastCondition, EventCondition, EventTest
from schemas.plan_file import MilestonePart, PlanFile
from services.activation_engine.domain.trackers import NO_EVENT
from services.activation_engine.plans.compiler import dependencies
from services.activation_engine.plans.contradictions import contradicts
from services.activation_engine.plans.errors import Path, PlanError
from services.activation_engine.plans.references import all_terms, combined
from services.activation_engine.plans.selectors import covers, is_event, select
from services.activation_engine.plans.source import Source


def check_holdable(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Conditions that nothing can make true, wherever they stand."""
    for path, part in all_terms(file):
        found = _why_never(part, file)
        if found is not None:
            step, message, hint = found
            yield source.error((*path, *step), _code(path), message, hint)
    for name, test in (file.applies_to or {}).items():
        if contradicts(test):
            hint = "correct one of the operators"
            yield source.error(("applies_to", name), "never_holds", "no value passes all of these tests", hint)


def _code(path: Path) -> str:
    return "unreachable_milestone" if path[0] == "milestones" else "never_holds"


def _why_never(part: Any, file: PlanFile) -> tuple[Path, str, str] | None:
    """Where in this part, what is wrong, and what to write instead; its inner parts are asked on their own."""
    match part:
        case AtLeastCondition(at_least=threshold) if threshold.n > len(threshold.of):
            message = f"{threshold.n} of {len(threshold.of)} conditions can never hold"
            return ("at_least", "n"), message, f"write n: {len(threshold.of)} or less"
        case AdoptionCondition() if file.core_features is None:
            hint = "add `core_features: {days: 2, of: [<events>]}`"
            return ("adoption",), "there are no `core_features` of which this could be a share", hint
        case EventCondition(event=name, people=int()) if _is_no_activity(name, file):
            hint = "take it out of `exclude`, or write `count` instead of `people`"
            return ("event",), f"`activity.exclude` has `{name}`, so nobody is ever counted", hint
        case EventTest(where=dict() as where) if failing := [one for one, test in where.items() if contradicts(test)]:
            return ("where", failing[0]), "no value passes all of these tests", "correct one of the operators"
    return None


def _is_no_activity(name: str, file: PlanFile) -> bool:
    excluded = select(file.activity.exclude, file.events) if file.activity else NO_EVENT
    return covers(excluded, select([name], file.events))


def check_cycles(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Milestones that wait for each other."""
    try:
        TopologicalSorter({one: dependencies(part) for one, part in file.milestones.items()}).prepare()
    except CycleError as error:
        names = list(reversed(error.args[1]))
        message = f"unreachable: {' needs '.join(f'`{name}`' for name in names)}"
        hint = "take one of them out of `needs` or `when`"
        yield source.error(("milestones", names[0]), "cycle", message, hint, at_key=True)


def check_dependents(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Milestones that need one which nothing can reach. There must be no cycle."""
    reachable: set[str] = set()
    order = TopologicalSorter({one: dependencies(part) for one, part in file.milestones.items()}).static_order()
    for name in order:
        part = file.milestones[name]
        if _can_be_reached(part, file, reachable):
            reachable.add(name)
            continue
        blocking = [one for one in dependencies(part) if one not in reachable]
        if blocking:
            message = f"unreachable: it needs `{blocking[0]}`, which nothing can reach"
            hint = f"correct `{blocking[0]}` first"
            yield source.error(("milestones", name), "unreachable_milestone", message, hint, at_key=True)


def _can_be_reached(part: MilestonePart, file: PlanFile, reachable: set[str]) -> bool:
    def can_hold(term: Any) -> bool:
        is_milestone = isinstance(term, str) and not is_event(term)
        return term in reachable if is_milestone else _why_never(term, file) is None

    return all(one in reachable for one in part.needs) and (part.when is None or combined(part.when, can_hold))
