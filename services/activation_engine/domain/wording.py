"""The English of conditions, rules and reasons, one place for signals and for explain."""

from services.activation_engine.domain.conditions import AtLeast, Condition, Leaf, MilestoneReached
from services.activation_engine.domain.instants import date_text, days_text, length_text
from services.activation_engine.domain.plan import Milestone, Plan
from services.activation_engine.domain.status import (
    FIRST_VALUE_LATE,
    MILESTONE_OVERDUE,
    QUIET,
    Deadline,
    Standing,
)
from services.activation_engine.domain.timers import between

# A signal repeats a condition up to four times and has room for 64 KiB; a plan file has more to say about one event.
_CHARS_MAX = 1_000


def condition_text(condition: Condition) -> str:
    """`report.generated, list.built or model.trained`; the first thousand characters of it."""
    return shortened(whole_text(condition))


def shortened(text: str) -> str:
    """What a signal has room for: the first thousand characters."""
    return text if len(text) <= _CHARS_MAX else text[:_CHARS_MAX] + "…"


def whole_text(condition: Condition) -> str:
    """All of it, for people who approve a plan."""
    match condition:
        case Leaf(text=text):
            return text
        case MilestoneReached(title=title):
            return title
        case AtLeast(label=label) if label:
            return label
        case AtLeast(needed=needed, parts=parts):
            texts = [
                f"({whole_text(part)})" if isinstance(part, AtLeast) and not part.label else whole_text(part)
                for part in parts
            ]
            if needed == len(texts):
                return listed(texts, "and")
            return listed(texts, "or") if needed == 1 else f"{needed} of {listed(texts, 'and')}"
        case _:
            raise TypeError(f"no words for {type(condition).__name__}")


def listed(texts: list[str], joint: str) -> str:
    """`a, b or c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {joint} {texts[-1]}"


def way_to(plan: Plan, milestone: Milestone, standing: Standing) -> str:
    """What would reach a milestone, in one sentence."""
    if milestone.when is None:
        return f"{milestone.title} is reached when somebody marks it."
    missing = [plan.milestone(one).title for one in milestone.needs if standing.is_missing(one)]
    also = f", once {listed(missing, 'and')} {'is' if len(missing) == 1 else 'are'} reached" if missing else ""
    return f"{milestone.title} is reached by {condition_text(milestone.when)}{also}."


def rule_text(standing: Standing, rule: Deadline) -> str:
    """The rule as the plan states it: `first_output due week 4 (smb, pace 0.75)`."""
    plan, segment = standing.plan, standing.segment
    who = f" ({segment.id})" if plan.segmented else ""
    if rule.reason == MILESTONE_OVERDUE and rule.milestone is not None:
        due = plan.milestone(rule.milestone).due
        assert due is not None
        paced = f" ({segment.id}, pace {segment.pace:g})" if plan.segmented and due.stretched else who
        return f"{rule.milestone} due {due.text}{paced}"
    if rule.reason == QUIET:
        return f"nobody active for {length_text(plan.quiet_ms or 0, plan.day_ms)}"
    if rule.reason == FIRST_VALUE_LATE:
        return f"{plan.first_value} within {length_text(segment.at_risk_after_ms or 0, plan.day_ms)}{who}"
    return f"{plan.first_value} within the window of {length_text(segment.window_ms or 0, plan.day_ms)}{who}"


def reason_text(standing: Standing, rule: Deadline, clock_ms: int) -> str:
    """What is wrong, as a clause: `First output is 7 days overdue (due 13 Nov 2026)`."""
    plan, day_ms = standing.plan, standing.plan.day_ms
    if rule.reason == MILESTONE_OVERDUE and rule.milestone is not None:
        due = standing.due_at(rule.milestone)
        assert due is not None
        late = days_text(between(due, clock_ms, standing.still), day_ms)
        on = date_text(due, start_ms=standing.start_ms, day_ms=day_ms)
        return f"{plan.milestone(rule.milestone).title} is {late} overdue (due {on})"
    if rule.reason == QUIET:
        return quiet_text(standing, clock_ms)
    started = days_text(between(standing.start_ms or 0, clock_ms, standing.still), day_ms)
    title = plan.milestone(plan.first_value).title
    if rule.reason == FIRST_VALUE_LATE:
        return f"{title} is not reached {started} after the start"
    window = length_text(standing.segment.window_ms or 0, day_ms)
    return f"the window of {window} is over without {title}"


def lapsed_text(standing: Standing, rule: Deadline) -> str:
    """What was wrong and is so no longer, as a clause: `System live was overdue, and is reached now (3 Nov 2026)`."""
    if rule.reason == QUIET:
        return "nobody was active for too long, which is over"
    plan = standing.plan
    milestone = plan.milestone(rule.milestone or plan.first_value)
    was = f"{milestone.title} was overdue"
    if rule.reason != MILESTONE_OVERDUE:
        was = f"{milestone.title} was late"
    reached, due = standing.reached.get(milestone.id), standing.due_at(milestone.id)
    if reached is not None:
        on = date_text(reached, start_ms=standing.start_ms, day_ms=plan.day_ms)
        return f"{was}, and is reached now ({on})"
    if milestone.id in standing.waived:
        return f"{was}, and is waived now"
    if due is None or rule.reason != MILESTONE_OVERDUE or milestone.id not in plan.required:
        return f"{was}, which is over"
    return f"{was}, and is due {date_text(due, start_ms=standing.start_ms, day_ms=plan.day_ms)} now"


def quiet_text(standing: Standing, clock_ms: int) -> str:
    """`nobody was active for 3 days`."""
    last, quiet_from = standing.last_activity_ms, standing.quiet_from_ms
    if last is None or quiet_from is None:
        return "nobody was ever active"
    quiet = days_text(between(quiet_from, clock_ms, standing.still), standing.plan.day_ms)
    return f"nobody was active for {quiet}" if last == quiet_from else f"nobody was active since the start, {quiet} ago"


def quiet_days(standing: Standing, clock_ms: int) -> int:
    """Whole plan days of quiet, 0 when nobody was ever active."""
    if standing.quiet_from_ms is None:
        return 0
    return max(0, between(standing.quiet_from_ms, clock_ms, standing.still)) // standing.plan.day_ms


def remedy(standing: Standing, rule: Deadline) -> str:
    """What would clear a rule, in one sentence."""
    if rule.reason == QUIET:
        return "Any use of the product by one of the account's people clears it."
    return way_to(standing.plan, standing.plan.milestone(rule.milestone or standing.plan.first_value), standing)
