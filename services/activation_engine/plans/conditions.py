"""Conditions of a plan file as conditions of the domain: names resolved, equal leaves made equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from msgspec import Struct

from schemas.plan_conditions import (
    AdoptionCondition,
    AllCondition,
    AnyCondition,
    AtLeastCondition,
    DaysCondition,
    EventCondition,
    EventTest,
    PeopleCondition,
)
from schemas.plan_file import CoreFeaturesPart, PlanFile
from schemas.plan_measures import duration_ms, share
from services.activation_engine.domain.conditions import AtLeast, Condition, Leaf, MilestoneReached
from services.activation_engine.domain.trackers import (
    EVERY_EVENT,
    NO_EVENT,
    CountTracker,
    DaysTracker,
    FirstTracker,
    LastTracker,
    PeopleTracker,
    Selector,
    tracker,
)
from services.activation_engine.plans.selectors import EventNames, compile_tests, event_text, is_event, select


class Terms(Struct, frozen=True):
    """What the conditions of one plan refer to."""

    events: EventNames
    titles: Mapping[str, str]
    day_ms: int
    excluded: Selector
    core_features: tuple[Leaf, ...] = ()


def terms_of(file: PlanFile) -> Terms:
    """What the file's conditions refer to."""
    excluded = select(file.activity.exclude, file.events) if file.activity else NO_EVENT
    titles = {one: part.title or title_of(one) for one, part in file.milestones.items()}
    terms = Terms(file.events, titles, duration_ms(file.day), excluded)
    if file.core_features is None:
        return terms
    features = tuple(core_features(file.core_features, terms))
    return Terms(file.events, titles, terms.day_ms, excluded, features)


def title_of(name: str) -> str:
    """`first_output` as `First output`."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]


def core_features(part: CoreFeaturesPart, terms: Terms) -> Iterator[Leaf]:
    """One leaf per feature: in use on so many days."""
    for one in part.of:
        test = EventTest(event=one) if isinstance(one, str) else one
        yield _days(part.days, test, terms)


def compile_condition(condition: Any, terms: Terms) -> Condition:
    """A condition that passed the checks."""
    match condition:
        case str() if is_event(condition):
            return _event(EventCondition(event=condition), terms)
        case str():
            return MilestoneReached(condition, terms.titles[condition])
        case EventCondition():
            return _event(condition, terms)
        case PeopleCondition(people=number):
            leaf = tracker(PeopleTracker, EVERY_EVENT, number, excluded=terms.excluded)
            return Leaf(leaf, counted(number, "person", "people"))
        case DaysCondition(days=number):
            leaf = tracker(DaysTracker, EVERY_EVENT, number, day_ms=terms.day_ms, excluded=terms.excluded)
            return Leaf(leaf, counted(number, "active day", "active days"))
        case AdoptionCondition(adoption=text):
            needed = ceil(share(text) * len(terms.core_features))
            return AtLeast(needed, terms.core_features, f"adoption of {text}")
        case AnyCondition(any=parts):
            return AtLeast(1, tuple(compile_condition(part, terms) for part in parts))
        case AllCondition(all=parts):
            return AtLeast(len(parts), tuple(compile_condition(part, terms) for part in parts))
        case AtLeastCondition(at_least=threshold):
            return AtLeast(threshold.n, tuple(compile_condition(part, terms) for part in threshold.of))
    raise TypeError(f"{type(condition).__name__} is not a condition")


def newest(condition: Any, terms: Terms) -> Condition:
    """One side of an open loop: a milestone, or the newest event of a kind."""
    if isinstance(condition, str) and not is_event(condition):
        return MilestoneReached(condition, terms.titles[condition])
    test = EventTest(event=condition) if isinstance(condition, str) else condition
    where = compile_tests(test.where or {}, split=True)
    return Leaf(tracker(LastTracker, select([test.event], terms.events, where)), event_text(test.event, where))


def counted(number: int, one: str, many: str) -> str:
    """`1 person`, `3 people`."""
    return f"{number} {one if number == 1 else many}"


def _event(condition: EventCondition, terms: Terms) -> Leaf:
    if condition.days is not None:
        return _days(condition.days, condition, terms)
    where = compile_tests(condition.where or {}, split=True)
    selector, text = select([condition.event], terms.events, where), event_text(condition.event, where)
    if condition.people is not None:
        leaf = tracker(PeopleTracker, selector, condition.people, excluded=terms.excluded)
        return Leaf(leaf, f"{text}, by {counted(condition.people, 'person', 'people')}")
    if condition.count == 1:
        return Leaf(tracker(FirstTracker, selector), text)
    return Leaf(tracker(CountTracker, selector, condition.count), f"{text}, {condition.count} times")


def _days(number: int, test: EventTest, terms: Terms) -> Leaf:
    """Days on which the event came. Of a named event each one counts, of all events only activity."""
    where = compile_tests(test.where or {}, split=True)
    selector = select([test.event], terms.events, where)
    excluded = terms.excluded if selector.everything else NO_EVENT
    found = tracker(DaysTracker, selector, number, day_ms=terms.day_ms, excluded=excluded)
    return Leaf(found, f"{event_text(test.event, where)}, on {counted(number, 'day', 'days')}")
