"""Checks of risks and opportunities: parts that date them, keys that belong together, rules that can fire and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from schemas.plan_file import PlanFile
from schemas.plan_measures import DAY_MS, duration_ms, share
from schemas.plan_watches import OpportunityPart, RiskPart
from services.activation_engine.domain.activity import ANYONE, PRESENT_DAYS
from services.activation_engine.domain.truths import BASELINE_DAYS_MIN
from services.activation_engine.domain.watching import IN_USE_DAYS
from services.activation_engine.plans.errors import Path, PlanError
from services.activation_engine.plans.foregone import is_foregone, is_met_by
from services.activation_engine.plans.source import Source

# The key at which it shows, a code, what is wrong, and what to write instead.
Finding: TypeAlias = tuple[str, str, str, str]
_CAUSES = ("quiet", "people", "roles", "active_days", "missing", "after", "before")
_NEVER = "rule_never_fires"


def check_watches(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Every risk and opportunity by itself."""
    for name, part in file.risks.items():
        yield from _check(part, file, source, ("risks", name))
    for name, chance in file.opportunities.items():
        yield from _check(chance, file, source, ("opportunities", name))


def _check(part: RiskPart, file: PlanFile, source: Source, path: Path) -> Iterator[PlanError]:
    checks: tuple[Callable[[RiskPart, PlanFile], Iterator[Finding]], ...] = (
        _has_cause,
        _belongs_together,
        _quiet_people,
        _presence,
        _loop,
        _dates,
        _fall,
        _excluded_by_unless,
        _ends,
    )
    for one in checks:
        for key, code, message, hint in one(part, file):
            yield source.error((*path, key) if key else path, code, message, hint, at_key=True)


def _has_cause(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    chance = isinstance(part, OpportunityPart)
    causes = (*_CAUSES, "healthy") if chance else _CAUSES
    if all(getattr(part, one) is None for one in causes):
        yield "", "missing_key", "nothing here says when it opens", f"add one of {', '.join(causes)}"


def _belongs_together(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    """Keys that mean nothing without another one."""
    if part.quiet is not None and part.for_ is None:
        yield "quiet", "missing_key", "`quiet` needs a length", "add `for: 14d`"
    if part.before is not None and part.within is None:
        yield "before", "missing_key", "`before` needs a length", "add `within: 90d`"
    if part.within is not None and part.before is None:
        yield "within", "missing_key", "`within` counts back from a date", "add `before: <trait>`, such as renewal_at"
    if part.until is not None and part.after is None and not isinstance(part, OpportunityPart):
        yield "until", "missing_key", "`until` ends what `after` begins", "add `after: <event or milestone>`"


def _quiet_people(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    roles = part.quiet or []
    if len(set(roles)) < len(roles):
        yield "quiet", "wrong_value", "a role is listed twice", "remove one"
    if ANYONE not in roles:
        return
    if len(set(roles)) > 1:
        yield "quiet", "wrong_value", "`anyone` means every role", "write `quiet: anyone`, or the roles alone"
    if isinstance(part, OpportunityPart) and _at_least(part.for_, IN_USE_DAYS):
        message = f"an opportunity opens only while somebody was active in the last {IN_USE_DAYS} days"
        yield "quiet", _NEVER, message, "name roles, or make it a risk"
    for key, bound in (("people", part.people), ("roles", part.roles)):
        if bound is not None and _at_least(part.for_, PRESENT_DAYS):
            message = f"after {PRESENT_DAYS} quiet days there are no {key} left to count"
            yield key, _NEVER, message, f"remove it, or make `for` shorter than {PRESENT_DAYS}d"


def _presence(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    if part.missing is None:
        return
    if part.missing == part.before:
        yield "missing", _NEVER, f"`before` needs the trait `{part.missing}`, which is to be missing", "remove one"
    if file.start == [part.missing]:
        message = f"accounts start with `{part.missing}`, and before their start nothing is missing"
        yield "missing", _NEVER, message, "add `first_event` to `start`, or name another trait"


def _loop(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    if part.after is not None and part.until is not None and is_met_by(part.until, part.after, file):
        yield "until", _NEVER, "`until` is what `after` is, so it ends as it begins", "write what ends it"


def _dates(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    if part.before is None or part.within is None or part.for_ is None or part.quiet is not None:
        return
    if duration_ms(part.for_) >= duration_ms(part.within):
        message = f"`for` of {part.for_} is not over before the date comes"
        yield "for", _NEVER, message, f"make it shorter than {part.within}, or remove it"


def _fall(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    """A fall is measured against the 28 days before, so it cannot go on for ever."""
    if part.active_days is None or part.for_ is None:
        return
    if part.quiet is not None:
        # Days that somebody was active must still lie in the 28 before the last.
        days = 2 * PRESENT_DAYS - BASELINE_DAYS_MIN + 2
        if ANYONE in part.quiet and _at_least(part.for_, days):
            message = f"after {days} days without anybody there is no usual from which to fall"
            yield "for", _NEVER, message, f"make it shorter than {days}d, or remove `active_days`"
        return
    days, left = 0, PRESENT_DAYS
    while left >= BASELINE_DAYS_MIN:
        days, left = days + PRESENT_DAYS, int(left * (1 - share(part.active_days.down)))
    if _at_least(part.for_, days):
        message = f"a fall of {part.active_days.down} is never measured for {part.for_}: by then it is the usual"
        yield "for", _NEVER, message, f"make it shorter than {days}d, or remove it"


def _excluded_by_unless(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    if part.unless is not None and is_foregone(part.unless, part, file):
        yield "unless", _NEVER, "`unless` is true whenever this could open", "name another condition, or write `until`"


def _ends(part: RiskPart, file: PlanFile) -> Iterator[Finding]:
    if not isinstance(part, OpportunityPart):
        return
    if part.open is None and part.until is None and part.quiet is None and part.unless is None:
        yield "", "never_closes", "nothing ever ends it", "add `open: 30d`, or `until: <event>`"


def _at_least(duration: str | None, days: int) -> bool:
    return duration is not None and duration_ms(duration) >= days * DAY_MS
