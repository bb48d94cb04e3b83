"""A plan as English sentences, for people who have to agree with it and do not read YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from schemas.plan_file import PlanFile
from schemas.plan_measures import duration_ms
from services.activation_engine.domain.instants import DAY_MS, length_text
from services.activation_engine.domain.plan import FIRST_EVENT, Milestone, Plan, Segment
from services.activation_engine.domain.trackers import NO_EVENT
from services.activation_engine.domain.watches import Watch
from services.activation_engine.domain.wording import listed, whole_text
from services.activation_engine.plans.loader import CheckedPlan
from services.activation_engine.plans.selectors import tests_text

_HOUR_MS = 3_600_000


def in_english(checked: CheckedPlan, *, width: int = 100) -> str:
    """The whole plan: whom it is for, its milestones, when somebody is told of what; in lines of at most `width`
    characters, the last of which is ended."""
    told = (_section(title, sentences, width) for title, sentences in sections(checked).items())
    return "\n".join(line for section in told for line in (*section, ""))


def sections(checked: CheckedPlan) -> dict[str, list[str]]:
    """The sentences by the titles above them; those above all others have none."""
    plan = checked.plan
    found = {
        "": [f"{plan.title} ({plan.id})", *_frame(plan)],
        "Milestones": [_milestone(plan, one) for one in plan.displayed()],
        "Status": list(_status(plan, grace=_grace(checked))),
        "Adoption": list(_adoption(plan)),
        "Escalation": list(_escalation(plan)),
        "Risks": [_watch(plan, one) for one in plan.risks],
        "Opportunities": [_watch(plan, one) for one in plan.opportunities],
        "Events": list(_events(checked.content.get("events", {}))),
    }
    return {title: sentences for title, sentences in found.items() if sentences}


def _section(title: str, sentences: list[str], width: int) -> Iterator[str]:
    if title:
        yield title
    for sentence in sentences:
        yield from wrap(sentence, width, initial_indent="- " if title else "", subsequent_indent="  " if title else "")


def _frame(plan: Plan) -> Iterator[str]:
    yield f"It is for {'accounts with ' + tests_text(plan.applies_to) if plan.applies_to else 'every account'}."
    sources = ["the first activity" if one == FIRST_EVENT else f"the trait {one}" for one in plan.start]
    known = "" if len(sources) == 1 else ", the first of these that is known"
    yield f"The clock starts with {listed(sources, 'or')}{known}."
    if plan.day_ms != DAY_MS:
        yield f"A day of this plan lasts {plan.day_ms / 1000:g} seconds."
    if plan.activity.excluded != NO_EVENT:
        left_out = [*plan.activity.excluded.names, *(f"{one}*" for one in plan.activity.excluded.prefixes)]
        yield f"Activity is any use of the product by a known person, but for {listed(left_out, 'and')}."
    if plan.segmented:
        yield from (_segment(plan, one) for one in plan.segments.values())


def _segment(plan: Plan, segment: Segment) -> str:
    weeks = "weeks as they are" if segment.pace == 1 else f"{segment.pace:g} times the weeks"
    window = "no window"
    if segment.window_ms is not None:
        window = f"a window of {length_text(segment.window_ms, plan.day_ms)}"
    otherwise = ", and so has everybody without a segment of these" if segment.id == plan.default_segment else ""
    return f"Segment {segment.id} has {weeks} and {window}{otherwise}."


def _milestone(plan: Plan, milestone: Milestone) -> str:
    how = "by hand" if milestone.when is None else f"by {whole_text(milestone.when)}"
    needed = [plan.milestone(one).title for one in milestone.needs]
    after = f", not before {listed(needed, 'and')}" if needed else ""
    role = ", which is the first value" if milestone.id == plan.first_value else ""
    optional = "" if milestone.required else " It is optional."
    return f"{milestone.title}{role}: reached {how}{after}{_due(plan, milestone)}.{optional}"


def _due(plan: Plan, milestone: Milestone) -> str:
    if milestone.due is None:
        return ""
    if not milestone.due.stretched:
        return f"; due {length_text(milestone.due.nominal_ms, plan.day_ms)} after the start"
    offsets = _by_segment(plan, {one.id: one.due_offsets_ms[milestone.id] for one in plan.segments.values()})
    return f"; due in {milestone.due.text} ({offsets})"


def _by_segment(plan: Plan, values: Mapping[str, int]) -> str:
    """One length when it is the same for all, otherwise each with its segment."""
    lengths = {one: length_text(at, plan.day_ms) for one, at in values.items()}
    if len(set(lengths.values())) == 1:
        return next(iter(lengths.values()))
    return ", ".join(f"{length} for {segment}" for segment, length in lengths.items())


def _status(plan: Plan, *, grace: str) -> Iterator[str]:
    titles = [plan.milestone(one).title for one in plan.display_order if plan.milestone(one).required]
    yield f"Activated: {listed(titles, 'and')} {'is' if len(titles) == 1 else 'are'} reached."
    if any(one.obligations for one in plan.segments.values()):
        yield f"At risk: one of them is overdue by more than {grace}."
    late = {one.id: one.at_risk_after_ms for one in plan.segments.values() if one.at_risk_after_ms is not None}
    if late:
        title = plan.milestone(plan.first_value).title
        yield f"At risk: {title} is not reached after {_by_segment(plan, late)}."
    if plan.overdue_ms is not None:
        yield f"Stalled: one of them is overdue by more than {length_text(plan.overdue_ms, plan.day_ms)}."
    if plan.quiet_ms is not None:
        yield f"Stalled: nobody was active for {length_text(plan.quiet_ms, plan.day_ms)}."
    if any(one.window_ms is not None for one in plan.segments.values()):
        yield f"Stalled: the window is over without {plan.milestone(plan.first_value).title}."


def _grace(checked: CheckedPlan) -> str:
    """As the file says it: a plan whose day is short has no whole milliseconds for an hour."""
    length_ms = duration_ms(checked.content.get("grace", PlanFile.model_fields["grace"].default))
    if length_ms >= DAY_MS:
        return length_text(length_ms, DAY_MS)
    return "1 hour" if length_ms == _HOUR_MS else f"{length_ms / _HOUR_MS:g} hours"


def _adoption(plan: Plan) -> Iterator[str]:
    if plan.core_features:
        features = listed([one.text.rpartition(", on ")[0] for one in plan.core_features], "and")
        on = plan.core_features[0].text.rpartition(", on ")[2]
        yield f"It is the share of these that came on {on}: {features}."


def _escalation(plan: Plan) -> Iterator[str]:
    if plan.escalation is None:
        return
    times = {one.id: one.escalate_after_ms for one in plan.segments.values() if one.escalate_after_ms is not None}
    unless = plan.escalation.unless
    without = "" if unless is None else f", unless it has {whole_text(unless)}"
    to = listed(list(plan.escalation.to), "and")
    yield f"An account that is not activated after {_by_segment(plan, times)} is escalated once to {to}{without}."


def _watch(plan: Plan, watch: Watch) -> str:
    text = f"{watch.title}: {watch.text}."
    if not watch.opportunity:
        return text
    held = "the quiet are active again" if watch.quiet else ""
    if watch.until is not None:
        held = f"{whole_text(watch.until)} comes"
    ends = [f"held once {held}"] if held else []
    if watch.open_ms is not None:
        ends.append(f"missed after {length_text(watch.open_ms, plan.day_ms)}")
    return f"{text} It is {listed(ends, 'or')}." if ends else text


def _events(events: Mapping[str, Any]) -> Iterator[str]:
    for name, sent in events.items():
        yield f"{name} is sent as {listed([f'“{one}”' for one in sent], 'or')}."
