"""A checked plan file as the plan that the domain runs: durations scaled by `day`, milestones in dependency order."""

from __future__ import annotations

from graphlib import TopologicalSorter

from schemas.plan_file import EscalatePart, MilestonePart, PlanFile, SegmentPart
from schemas.plan_measures import DAY_MS, due_weeks, duration_ms
from services.activation_engine.domain.activity import ActivityRule
from services.activation_engine.domain.plan import Due, Escalation, Milestone, Plan, Segment
from services.activation_engine.plans.conditions import Terms, compile_condition, terms_of, title_of
from services.activation_engine.plans.references import milestones_in
from services.activation_engine.plans.selectors import compile_tests
from services.activation_engine.plans.watches import compile_watches

_WEEK_MS = 7 * DAY_MS
_ONLY_SEGMENT = "all"


def compile_plan(file: PlanFile, content_hash: str) -> Plan:
    """The domain's plan. The file must have passed the checks."""
    terms = terms_of(file)
    day_ms = terms.day_ms
    milestones = tuple(_milestones(file, terms))
    risks, opportunities = compile_watches(file, terms)
    segments, otherwise = compile_segments(file, milestones, day_ms)
    return Plan(
        id=file.plan,
        title=file.title or title_of(file.plan),
        hash=content_hash,
        day_ms=day_ms,
        start=tuple(file.start),
        grace_ms=scaled(file.grace, day_ms),
        milestones=milestones,
        display_order=tuple(file.milestones),
        first_value=file.first_value,
        segments=segments,
        default_segment=otherwise,
        segmented=file.segments is not None,
        required=tuple(one.id for one in milestones if one.required),
        overdue_ms=scaled(file.stalled.overdue, day_ms) if file.stalled.overdue else None,
        quiet_ms=max(1, scaled(file.stalled.quiet, day_ms)) if file.stalled.quiet else None,
        applies_to=compile_tests(file.applies_to or {}, split=False),
        activity=ActivityRule.without(terms.excluded),
        core_features=terms.core_features,
        escalation=None if file.escalate is None else _escalation(file.escalate, terms),
        risks=risks,
        opportunities=opportunities,
    )


def scaled(duration: str, day_ms: int) -> int:
    """Milliseconds of a duration of the plan, in plans whose day has another length."""
    return round(duration_ms(duration) * day_ms / DAY_MS)


def compile_due(text: str | None, day_ms: int) -> Due | None:
    """`week 4` or a duration, in milliseconds before the pace."""
    if text is None:
        return None
    weeks = due_weeks(text)
    if weeks is None:
        return Due(scaled(text, day_ms), False, text)
    return Due(round(weeks * _WEEK_MS * day_ms / DAY_MS), True, text)


def dependencies(part: MilestonePart) -> list[str]:
    """The milestones that must be decided before this one: its `needs` and those in its condition."""
    return [*part.needs, *milestones_in(part.when)]


def _milestones(file: PlanFile, terms: Terms) -> list[Milestone]:
    order = TopologicalSorter({one: dependencies(part) for one, part in file.milestones.items()}).static_order()
    return [_milestone(one, file.milestones[one], terms) for one in order]


def _milestone(milestone_id: str, part: MilestonePart, terms: Terms) -> Milestone:
    return Milestone(
        id=milestone_id,
        title=terms.titles[milestone_id],
        required=part.required,
        needs=tuple(part.needs),
        when=None if part.when is None else compile_condition(part.when, terms),
        due=compile_due(part.due, terms.day_ms),
    )


def _escalation(part: EscalatePart, terms: Terms) -> Escalation:
    return Escalation(None if part.unless is None else compile_condition(part.unless, terms), tuple(part.to))


def compile_segments(file: PlanFile, milestones: tuple[Milestone, ...], day_ms: int) -> tuple[dict[str, Segment], str]:
    """Every segment by name, and the name of the one for accounts that name none."""
    if file.segments is None:
        return {_ONLY_SEGMENT: _segment(_ONLY_SEGMENT, SegmentPart(), file, milestones, day_ms)}, _ONLY_SEGMENT
    parts = {name: part for name, part in file.segments.items() if isinstance(part, SegmentPart)}
    built = {name: _segment(name, part, file, milestones, day_ms) for name, part in parts.items()}
    return built, str(file.segments["else"])


def value_for(segment: str, values: str | dict[str, str] | None) -> str | None:
    """What one segment is given where a plan says one duration for all, or one for each and `else`."""
    return values.get(segment, values.get("else")) if isinstance(values, dict) else values


def _segment(name: str, part: SegmentPart, file: PlanFile, milestones: tuple[Milestone, ...], day_ms: int) -> Segment:
    offsets = {one.id: one.due.offset_ms(part.pace) for one in milestones if one.due is not None}
    required = [one.id for one in milestones if one.required and one.due is not None]
    late = value_for(name, file.at_risk_after)
    escalate = value_for(name, file.escalate.at) if file.escalate else None
    order = list(file.milestones)
    return Segment(
        id=name,
        pace=part.pace,
        window_ms=scaled(part.window, day_ms) if part.window else None,
        at_risk_after_ms=scaled(late, day_ms) if late else None,
        escalate_after_ms=scaled(escalate, day_ms) if escalate else None,
        due_offsets_ms=offsets,
        obligations=tuple(
            (offsets[one], one) for one in sorted(required, key=lambda one: (offsets[one], order.index(one)))
        ),
    )
