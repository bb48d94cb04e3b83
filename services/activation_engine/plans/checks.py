"""What the parts of a plan mean together: names that exist, no cycles, dates inside windows, rules that can fire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.plan_conditions import EventTest, ValueTest
from schemas.plan_file import PlanFile
from schemas.plan_measures import DAY_MS, duration_ms
from schemas.signals import ACCOUNT_TYPES
from services.activation_engine.domain.encoding import PLAN_STATE_BYTES_MAX, state_bytes_max
from services.activation_engine.domain.predicates import NULL_COMPARES
from services.activation_engine.plans.compiler import compile_plan
from services.activation_engine.plans.conditions import terms_of
from services.activation_engine.plans.errors import PlanError, nearest
from services.activation_engine.plans.reachability import check_cycles, check_dependents, check_holdable
from services.activation_engine.plans.references import all_terms, event_names
from services.activation_engine.plans.selectors import is_event, pattern_prefix
from services.activation_engine.plans.source import Source
from services.activation_engine.plans.timing import check_segments, check_timing
from services.activation_engine.plans.watch_checks import check_watches

# `snooze` takes one of these or the id of a risk or opportunity.
_KINDS = frozenset(one.removeprefix("account.") for one in ACCOUNT_TYPES)
# Week 520 of the slowest pace then still is a date that the calendar has, whenever the account starts.
_DAY_MS_MAX = 7 * DAY_MS


def check(file: PlanFile, source: Source) -> list[PlanError]:
    """Every finding. Later checks run only when what they build on was found right."""
    if wrong := [*_check_day(file, source), *_check_tests(file, source)]:
        return wrong
    found = [
        *_check_events(file, source),
        *_check_start(file, source),
        *_check_milestones(file, source),
        *_check_names(file, source),
        *_check_ids(file, source),
        *check_holdable(file, source),
        *check_segments(file, source),
    ]
    if not any(one.code == "unknown_milestone" for one in found):
        found += list(check_cycles(file, source)) or list(check_dependents(file, source))
    found = found or [*_check_features(file, source), *check_watches(file, source)]
    return found or [*check_timing(file, source), *_check_size(file, source)]


def _check_day(file: PlanFile, source: Source) -> Iterator[PlanError]:
    if duration_ms(file.day) > _DAY_MS_MAX:
        yield source.error(("day",), "wrong_value", f"`{file.day}` is longer than 7d", "write 7d or less")


def _check_tests(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Operators on values that compare with something."""
    placed = [((*path, "where"), term.where) for path, term in all_terms(file) if isinstance(term, EventTest)]
    for path, tests in [*placed, (("applies_to",), file.applies_to)]:
        for name, test in (tests or {}).items():
            written = test.model_dump() if isinstance(test, ValueTest) else {}
            for operator, wanted in written.items():
                if wanted is None and operator not in NULL_COMPARES:
                    hint = f"give `{operator}` a value, or leave it out"
                    at = (*path, name, operator)
                    yield source.error(at, "wrong_value", "`null` is nothing to compare with", hint)


def _check_events(file: PlanFile, source: Source) -> Iterator[PlanError]:
    for name in file.events:
        if "." not in name or "*" in name:
            hint = "plan names of events have a dot and no `*`, such as `report.generated`"
            yield source.error(("events", name), "wrong_name", f"`{name}` is not a plan name", hint, at_key=True)
    for index, name in enumerate(file.activity.exclude if file.activity else ()):
        if name == "*":
            message, hint = "then nothing would ever be activity", "name the events that are none, or write `billing.*`"
            yield source.error(("activity", "exclude", index), "rule_never_fires", message, hint)


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
            if needed not in file.milestones:
                hint = nearest(needed, file.milestones)
                message = f"there is no milestone `{needed}`"
                yield source.error(("milestones", name, "needs", index), "unknown_milestone", message, hint)


def _check_names(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Events and milestones that conditions, core features, loops and `activity` name."""
    for path, term in all_terms(file):
        if not isinstance(term, str) or is_event(term):
            continue
        if path[0] == "core_features":
            what = "is a milestone, not an event" if term in file.milestones else "is not an event"
            hint = f"write the events that show the feature in use, such as {{event: {term}}}"
            yield source.error(path, "not_an_event", f"`{term}` {what}", hint)
        elif term not in file.milestones:
            hint = f"for an event of this name write {{event: {term}}}; {nearest(term, file.milestones)}"
            yield source.error(path, "unknown_milestone", f"there is no milestone `{term}`", hint.rstrip("; "))
    for path, name in event_names(file):
        prefix = pattern_prefix(name)
        if "*" in (name if prefix is None else prefix):
            hint = "write `*` for every event, or `reports.*` for those that begin with `reports.`"
            yield source.error(path, "wrong_name", f"`{name}` has a `*` in the wrong place", hint)


def _check_ids(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Risks and opportunities share one namespace with milestones and kinds of signals: snoozes and answers name them
    by their id alone."""
    taken: dict[str, str] = dict.fromkeys(file.milestones, "a milestone")
    for kind, word, watches in (
        ("risks", "a risk", dict[str, Any](file.risks)),
        ("opportunities", "an opportunity", dict[str, Any](file.opportunities)),
    ):
        for name in watches:
            other = "a kind of signal" if name in _KINDS else taken.get(name)
            if other is not None:
                message = f"`{name}` is the name of {other} too"
                yield source.error((kind, name), "duplicate_id", message, "give one another name", at_key=True)
            taken[name] = word


def _check_features(file: PlanFile, source: Source) -> Iterator[PlanError]:
    seen: set[int] = set()
    for index, leaf in enumerate(terms_of(file).core_features):
        if leaf.tracker.id in seen:
            assert file.core_features is not None
            one = file.core_features.of[index]
            name = one.event if isinstance(one, EventTest) else one
            path = ("core_features", "of", index)
            yield source.error(path, "wrong_value", f"`{name}` is listed twice", "remove one")
        seen.add(leaf.tracker.id)


def _check_size(file: PlanFile, source: Source) -> Iterator[PlanError]:
    size = state_bytes_max(compile_plan(file, ""))
    if size > PLAN_STATE_BYTES_MAX:
        message = f"an account could need {size} bytes of facts; at most {PLAN_STATE_BYTES_MAX} are kept"
        yield source.error(("milestones",), "too_large", message, "lower the counts or leave conditions out")
