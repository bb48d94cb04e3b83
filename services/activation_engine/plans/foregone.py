"""What is true of every account by the time a risk or opportunity opens for it, so that a rule that waits for the
opposite can never fire."""

from __future__ import annotations

from typing import Any

from schemas.plan_conditions import DaysCondition, EventCondition, EventTest, PeopleCondition
from schemas.plan_file import PlanFile
from schemas.plan_watches import RiskPart
from services.activation_engine.domain.truths import BASELINE_DAYS_MIN
from services.activation_engine.plans.references import combined
from services.activation_engine.plans.selectors import covers, is_event, select


def is_foregone(condition: Any, part: RiskPart, file: PlanFile) -> bool:
    """Whether what opens this risk or opportunity makes the condition true as well."""
    return combined(condition, lambda one: _is_foregone(one, part, file))


def _is_foregone(condition: Any, part: RiskPart, file: PlanFile) -> bool:
    match condition:
        case PeopleCondition(people=number):
            return number <= _people_min(part)
        case DaysCondition(days=number):
            return number <= _days_min(part)
        case str() if not is_event(condition):
            return condition == part.after or (part.active_days is not None and condition == file.first_value)
        case EventCondition() if condition.count > 1 or condition.people is not None or condition.days is not None:
            return False
        case str() | EventTest():
            return part.after is not None and is_met_by(condition, part.after, file)
    return False


def is_met_by(wide: Any, narrow: Any, file: PlanFile) -> bool:
    """Whether every event that `narrow` asks for is one that `wide` asks for; a milestone is met by itself alone."""
    if any(isinstance(one, str) and not is_event(one) for one in (wide, narrow)):
        return bool(wide == narrow)
    (wide_name, wide_tests), (name, tests) = _asked(wide), _asked(narrow)
    return covers(select([wide_name], file.events), select([name], file.events)) and wide_tests in (None, tests)


def _asked(term: Any) -> tuple[str, Any]:
    return (term.event, term.where) if isinstance(term, EventTest) else (term, None)


def _people_min(part: RiskPart) -> int:
    """So many people were active once, at the least."""
    return max(int(_was_active(part)), part.people if isinstance(part.people, int) else 0)


def _days_min(part: RiskPart) -> int:
    """On so many days somebody was active, at the least."""
    return BASELINE_DAYS_MIN if part.active_days is not None else int(_was_active(part))


def _was_active(part: RiskPart) -> bool:
    return any(one is not None for one in (part.quiet, part.people, part.roles, part.active_days))
