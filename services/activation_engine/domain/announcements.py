"""The signals of what records decide: starts, milestones, first value, activation, closings."""

from typing import Any

from services.activation_engine.domain import signals
from services.activation_engine.domain.account import ACTIVATED, CLOSED, PAUSED, TROUBLED
from services.activation_engine.domain.instants import DAY_MS, date_text, days_text, parse_instant
from services.activation_engine.domain.orders import Life
from services.activation_engine.domain.plan import Milestone, progress_of
from services.activation_engine.domain.signals import CandidateSignal, Evidence
from services.activation_engine.domain.subject import Subject, next_step, signal_of
from services.activation_engine.domain.wording import condition_text


def activation_started(subject: Subject, status_from: str) -> CandidateSignal:
    """The start is known and has come."""
    plan, start = subject.plan, subject.standing.start_ms
    assert start is not None
    return _once(
        subject,
        signals.ACTIVATION_STARTED,
        start,
        status_from=status_from,
        summary=f"{subject.state.name} started: {plan.title} ({_when(subject, start)}).",
        evidence=Evidence(rule=f"start: {', '.join(plan.start)}", events=subject.events),
        next=next_step(subject),
    )


def milestone_reached(subject: Subject, milestone: Milestone, at_ms: int) -> CandidateSignal:
    """One milestone."""
    summary = f"{subject.state.name} reached {milestone.title} ({_when(subject, at_ms)})."
    return _reached(subject, signals.MILESTONE_REACHED, milestone, at_ms, summary)


def first_value_reached(subject: Subject, at_ms: int) -> CandidateSignal:
    """The activation moment."""
    milestone = subject.plan.milestone(subject.plan.first_value)
    start = subject.standing.start_ms
    took = "" if start is None else f", {days_text(at_ms - start, subject.plan.day_ms)} after the start"
    summary = f"{subject.state.name} reached first value: {milestone.title}{took}."
    return _reached(subject, signals.FIRST_VALUE_REACHED, milestone, at_ms, summary)


def _reached(subject: Subject, kind: str, milestone: Milestone, at_ms: int, summary: str) -> CandidateSignal:
    return _once(
        subject,
        kind,
        at_ms,
        milestone=milestone,
        summary=summary,
        due_at_ms=subject.standing.due_at(milestone.id),
        evidence=_milestone_evidence(subject, milestone),
        next=next_step(subject),
    )


def _milestone_evidence(subject: Subject, milestone: Milestone) -> Evidence:
    facts = subject.state.facts
    marked = parse_instant(facts.trait(milestone.mark_trait))
    # The earlier of the mark and the condition counts, and a trait that holds no date marks nothing.
    if milestone.when is None or (marked is not None and marked == subject.standing.reached.get(milestone.id)):
        return Evidence(f"{milestone.id} dated by {milestone.mark_trait}", 1, 1, subject.events)
    progress = progress_of(milestone, facts, subject.standing.reached)
    return Evidence(
        f"{milestone.id} when {condition_text(milestone.when)}", progress.measured, progress.threshold, subject.events
    )


def activated(subject: Subject, at_ms: int, *, again: bool) -> CandidateSignal:
    """Every required milestone is reached. What comes again ends a trouble, and has its episode."""
    known, life = subject.plan_state, subject.state.life
    count = sum(one not in subject.standing.waived for one in subject.plan.required)
    return signal_of(
        subject,
        signals.ACTIVATED,
        at_ms,
        about=known.cause or known.reason or "" if again else "",
        episode=f"{life}:{known.deadline_ms or 0}" if again else str(life),
        status_to=PAUSED if known.paused else ACTIVATED,
        summary=f"{subject.state.name} is activated{' again' * again}: all {count} required milestones are reached.",
        evidence=Evidence("every required milestone", count, count, subject.events),
        next=next_step(subject),
        origin=_origin_of_activation(subject, at_ms, again=again),
    )


def _origin_of_activation(subject: Subject, at_ms: int, *, again: bool) -> str:
    """That of the trouble that it ends; of a first activation that ends nothing but history, its own."""
    in_trouble, old = subject.plan_state.status in TROUBLED, subject.in_old_trouble
    if in_trouble and (again or not old):
        return signals.origin_of(catch_up=old)
    return subject.origin or signals.milestone_origin(subject.state, subject.live, at_ms)


def closed(subject: Subject, life: Life) -> CandidateSignal:
    """Somebody closed the account; once per life."""
    why = life.why or "no reason given"
    return _once(
        subject,
        signals.CLOSED,
        life.closed_at_ms or 0,
        status_to=CLOSED,
        summary=f"{subject.state.name} was closed: {why}.",
        evidence=Evidence(rule=f"closed by hand: {why}", events=subject.events),
        next="Reopening the account resumes its plans.",
    )


def _once(
    subject: Subject, kind: str, at_ms: int, *, milestone: Milestone | None = None, **fields: Any
) -> CandidateSignal:
    """A signal that comes once per life of the account."""
    about, episode = milestone.id if milestone else "", str(subject.state.life)
    origin = subject.origin or signals.milestone_origin(subject.state, subject.live, at_ms)
    return signal_of(subject, kind, at_ms, about=about, episode=episode, milestone=milestone, origin=origin, **fields)


def _when(subject: Subject, at_ms: int) -> str:
    plan, start = subject.plan, subject.standing.start_ms
    if plan.day_ms != DAY_MS and start is None:
        return "before a start is known"
    return date_text(at_ms, start_ms=start, day_ms=plan.day_ms)
