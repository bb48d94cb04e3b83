"""Risks and opportunities of a plan file as watches of the domain, each with its rule in words."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.plan_file import PlanFile
from schemas.plan_measures import DAY_MS, duration_ms, share
from schemas.plan_watches import FewerThan, OpportunityPart, RiskPart
from services.activation_engine.domain.activity import ANYONE, PRESENT_DAYS
from services.activation_engine.domain.instants import length_text
from services.activation_engine.domain.watches import Bounds, Watch
from services.activation_engine.domain.wording import listed, whole_text
from services.activation_engine.plans.conditions import Terms, compile_condition, counted, newest, title_of


def compile_watches(file: PlanFile, terms: Terms) -> tuple[tuple[Watch, ...], tuple[Watch, ...]]:
    """Risks and opportunities, in the order of the file."""
    risks = tuple(compile_watch(name, part, terms) for name, part in file.risks.items())
    return risks, tuple(compile_watch(name, part, terms) for name, part in file.opportunities.items())


def compile_watch(name: str, part: RiskPart, terms: Terms) -> Watch:
    """One risk or opportunity that passed the checks."""
    chance = part if isinstance(part, OpportunityPart) else None
    return Watch(
        id=name,
        title=part.title or title_of(name),
        opportunity=chance is not None,
        for_ms=_scaled(part.for_, terms) or 0,
        quiet=tuple(part.quiet or ()),
        people=_bounds(part.people),
        roles=_bounds(part.roles),
        active_days_down=None if part.active_days is None else float(share(part.active_days.down)),
        missing=part.missing,
        after=None if part.after is None else newest(part.after, terms),
        until=None if part.until is None else newest(part.until, terms),
        before=part.before,
        within_ms=_scaled(part.within, terms) or 0,
        unless=None if part.unless is None else compile_condition(part.unless, terms),
        healthy_ms=_scaled(chance.healthy, terms) if chance else None,
        open_ms=_scaled(chance.open, terms) if chance else None,
        text=rule_in_words(part, terms),
    )


def rule_in_words(part: RiskPart, terms: Terms) -> str:
    """`fewer than 2 people in 28 days, for 30 days`."""
    text = listed(list(_clauses(part, terms)), "and")
    if part.for_ is not None and not part.quiet:
        text += f", for {length(part.for_)}"
    return text if part.unless is None else f"{text}, unless {whole_text(compile_condition(part.unless, terms))}"


def length(duration: str) -> str:
    """`30d` as `30 days`, in days of the plan."""
    return length_text(duration_ms(duration), DAY_MS)


def _clauses(part: RiskPart, terms: Terms) -> Iterator[str]:
    if part.quiet and part.for_ is not None:
        yield f"{_nobody(part.quiet)} active for {length(part.for_)}"
    if part.people is not None:
        yield f"{_bound_text(part.people, 'person', 'people')} in {PRESENT_DAYS} days"
    if part.roles is not None:
        yield f"{_bound_text(part.roles, 'role', 'roles')} in {PRESENT_DAYS} days"
    if part.active_days is not None:
        yield f"active days down by {part.active_days.down}"
    if part.missing is not None:
        yield f"{part.missing} is missing"
    if part.after is not None:
        yield f"after {whole_text(newest(part.after, terms))}{_until(part, terms)}"
    if part.before is not None and part.within is not None:
        yield f"{part.before} within {length(part.within)}"
    if isinstance(part, OpportunityPart) and part.healthy is not None:
        yield f"healthy for {length(part.healthy)}"


def _until(part: RiskPart, terms: Terms) -> str:
    return "" if part.until is None else f" until {whole_text(newest(part.until, terms))}"


def _nobody(roles: list[str]) -> str:
    if ANYONE in roles:
        return "nobody"
    return f"no {listed([one.replace('_', ' ') for one in roles], 'or')}"


def _bound_text(bound: int | FewerThan, one: str, many: str) -> str:
    if isinstance(bound, FewerThan):
        return f"fewer than {counted(bound.lt, one, many)}"
    return f"at least {counted(bound, one, many)}"


def _bounds(bound: int | FewerThan | None) -> Bounds | None:
    if bound is None:
        return None
    return Bounds(below=bound.lt) if isinstance(bound, FewerThan) else Bounds(least=bound)


def _scaled(duration: str | None, terms: Terms) -> int | None:
    return None if duration is None else max(1, round(duration_ms(duration) * terms.day_ms / DAY_MS))
