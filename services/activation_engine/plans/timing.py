"""Checks on time: segments with every value they need, due times inside windows, deadlines that can come first."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.plan_file import PlanFile, SegmentPart
from services.activation_engine.domain.plan import Plan, Segment
from services.activation_engine.plans.compiler import compile_plan, value_for
from services.activation_engine.plans.errors import Path, PlanError, nearest
from services.activation_engine.plans.source import Source


def check_segments(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Every segment has its values, and accounts that name none have a segment."""
    if file.segments is None:
        for path, _ in _values_per_segment(file):
            message = "there are no `segments` to give values for"
            yield source.error(path, "wrong_value", message, "write one duration, such as 30d")
        return
    names = [name for name in file.segments if name != "else"]
    otherwise = file.segments.get("else")
    if otherwise is None:
        hint = f"add `else: {names[0]}`" if names else "add a segment and `else`"
        message = "accounts of no known segment have none"
        yield source.error(("segments",), "segment_without_value", message, hint, at_key=True)
    elif not isinstance(otherwise, str) or otherwise not in names:
        hint = f"write one of: {', '.join(names)}" if names else "add a segment"
        yield source.error(("segments", "else"), "unknown_segment", "`else` does not name a segment", hint)
    for name in names:
        if not isinstance(file.segments[name], SegmentPart):
            hint = f"write `{name}: {{pace: 1, window: 90d}}`"
            yield source.error(("segments", name), "segment_without_value", f"`{name}` has no values", hint)
    yield from _check_values(file, names, source)


def _values_per_segment(file: PlanFile) -> Iterator[tuple[Path, dict[str, str]]]:
    """Where the plan gives a duration for each segment."""
    if isinstance(file.at_risk_after, dict):
        yield ("at_risk_after",), file.at_risk_after
    if file.escalate is not None and isinstance(file.escalate.at, dict):
        yield ("escalate", "at"), file.escalate.at


def _check_values(file: PlanFile, names: list[str], source: Source) -> Iterator[PlanError]:
    for path, values in _values_per_segment(file):
        for name in values:
            if name not in [*names, "else"]:
                message = f"there is no segment `{name}`"
                yield source.error((*path, name), "unknown_segment", message, nearest(name, names), at_key=True)
        for name in names:
            if value_for(name, values) is None:
                message, hint = f"segment `{name}` has no value here", f"add `{name}: 30d` or `else: 30d`"
                yield source.error(path, "segment_without_value", message, hint, at_key=True)


def check_timing(file: PlanFile, source: Source) -> Iterator[PlanError]:
    """Due times against windows, and rules that others always beat."""
    plan = compile_plan(file, "")
    for segment in plan.segments.values():
        yield from _check_window(plan, segment, source)
        yield from _check_first_value_late(file, plan, segment, source)
    overdue = plan.overdue_ms
    if overdue is None:
        return
    if not any(segment.obligations for segment in plan.segments.values()):
        message = "no required milestone has a due time, so nothing is ever overdue"
        yield source.error(("stalled", "overdue"), "rule_never_fires", message, "give one a `due`, or remove this")
    elif "grace" in file.model_fields_set and 0 < overdue <= plan.grace_ms:
        message = "at_risk can never come: `grace` is not shorter than `stalled.overdue`"
        hint = f"write a grace below {file.stalled.overdue}"
        yield source.error(("grace",), "rule_never_fires", message, hint)


def _check_window(plan: Plan, segment: Segment, source: Source) -> Iterator[PlanError]:
    if segment.window_ms is None:
        return
    for milestone in plan.displayed():
        offset = segment.due_offsets_ms.get(milestone.id)
        if offset is not None and offset > segment.window_ms:
            days, window = f"{offset / plan.day_ms:g}", f"{segment.window_ms / plan.day_ms:g}"
            message = f"due on day {days}, past the window of {window} days of segment `{segment.id}`"
            hint = "make it due earlier, or the window longer"
            yield source.error(("milestones", milestone.id, "due"), "due_past_window", message, hint)


def _check_first_value_late(file: PlanFile, plan: Plan, segment: Segment, source: Source) -> Iterator[PlanError]:
    """While first value is missing, its own lateness or a stall may always be there first."""
    late = segment.at_risk_after_ms
    due = segment.due_offsets_ms.get(plan.first_value)
    if late is None:
        return
    sooner: list[int] = []
    if due is not None and plan.first_value in plan.required:
        sooner.append(due + plan.grace_ms)
    if segment.window_ms is not None:
        sooner.append(segment.window_ms)
    if sooner and late >= min(sooner):
        path = ("at_risk_after", segment.id) if isinstance(file.at_risk_after, dict) else ("at_risk_after",)
        where = f" in segment `{segment.id}`" if plan.segmented else ""
        message = f"can never be the reason{where}: another rule holds by day {min(sooner) / plan.day_ms:g}"
        yield source.error(path, "rule_never_fires", message, "write an earlier time, or remove it")
