"""The signals of trouble, which ticks decide: at risk, stalled, escalated, recovered."""

from services.activation_engine.domain import signals
from services.activation_engine.domain.account import ON_TRACK, STALLED
from services.activation_engine.domain.instants import days_text, in_days, length_text
from services.activation_engine.domain.likely import likely
from services.activation_engine.domain.plan import progress_of
from services.activation_engine.domain.signals import CandidateSignal, Evidence
from services.activation_engine.domain.status import QUIET, Deadline, Verdict
from services.activation_engine.domain.subject import Subject, next_step, signal_of
from services.activation_engine.domain.timers import between
from services.activation_engine.domain.wording import (
    condition_text,
    quiet_days,
    quiet_text,
    reason_text,
    remedy,
    rule_text,
)


def trouble(subject: Subject, verdict: Verdict) -> CandidateSignal:
    """`at_risk` or `stalled`, by the first rule that held at this tick. It is dated by the deadline, however late the
    tick, and lengths of time are as of then."""
    rule, standing, plan = verdict.cause, subject.standing, subject.plan
    assert rule is not None
    stalled = verdict.status == STALLED
    return signal_of(
        subject,
        signals.STALLED if stalled else signals.AT_RISK,
        rule.at_ms,
        about=rule.milestone or rule.reason,
        episode=f"{subject.state.life}:{rule.at_ms}",
        milestone=plan.milestone(rule.milestone) if rule.milestone else None,
        status_to=verdict.status,
        reason=rule.reason,
        likely=likely(standing, subject.state.facts, subject.now_ms) if stalled else None,
        due_at_ms=standing.due_at(rule.milestone) if rule.milestone else None,
        summary=_trouble_text(subject, "stalled" if stalled else "is at risk", rule),
        evidence=_trouble_evidence(subject, verdict, rule),
        next=remedy(standing, rule),
        origin=signals.origin_of(catch_up=subject.is_history(rule.at_ms)),
    )


def _trouble_text(subject: Subject, verb: str, rule: Deadline) -> str:
    standing = subject.standing
    text = f"{subject.state.name} {verb}: {reason_text(standing, rule, rule.at_ms)}"
    never = standing.last_activity_ms is None
    if rule.reason != QUIET and (never or quiet_days(standing, rule.at_ms) > 0):
        text += f" and {quiet_text(standing, rule.at_ms)}"
    return text + "."


def _trouble_evidence(subject: Subject, verdict: Verdict, rule: Deadline) -> Evidence:
    standing, plan = subject.standing, subject.plan
    also = tuple(
        rule_text(standing, one) for one in verdict.held if (one.reason, one.milestone) != (rule.reason, rule.milestone)
    )
    text = rule_text(standing, rule)
    if rule.reason == QUIET:
        quiet_from = rule.at_ms if standing.quiet_from_ms is None else standing.quiet_from_ms
        quiet = in_days(between(quiet_from, rule.at_ms, standing.still), plan.day_ms)
        return Evidence(text, quiet, in_days(plan.quiet_ms or 0, plan.day_ms), also=also)
    milestone = plan.milestone(rule.milestone or plan.first_value)
    progress = progress_of(milestone, subject.state.facts, subject.standing.reached)
    return Evidence(text, progress.measured, progress.threshold, also=also)


def escalated(subject: Subject, at_ms: int) -> CandidateSignal:
    """Past the time at which somebody else should know; once per life."""
    standing, plan, facts = subject.standing, subject.plan, subject.state.facts
    assert plan.escalation is not None
    unless = plan.escalation.unless
    wanted = "" if unless is None else f" without {condition_text(unless)}"
    limit = length_text(standing.segment.escalate_after_ms or 0, plan.day_ms)
    passed = days_text(between(standing.start_ms or at_ms, at_ms, standing.still), plan.day_ms)
    evidence = Evidence(f"escalate at {limit}{wanted}")
    if unless is not None:
        progress = unless.progress(facts.trackers, standing.reached)
        evidence.measured, evidence.threshold = progress.measured, progress.threshold
    return signal_of(
        subject,
        signals.ESCALATED,
        at_ms,
        about="",
        episode=f"{subject.state.life}:{at_ms}",
        reason=subject.plan_state.reason,
        likely=likely(standing, facts, subject.now_ms),
        to=plan.escalation.to,
        summary=f"{subject.state.name} needs help: {passed} after the start{wanted}.",
        evidence=evidence,
        next=next_step(subject),
        origin=signals.origin_of(catch_up=subject.is_history(at_ms)),
    )


def recovered(subject: Subject) -> CandidateSignal:
    """Back on track; the episode is that of the trouble it ends."""
    before, standing = subject.plan_state, subject.standing
    deadline = before.deadline_ms or 0
    was = "stalled" if before.status == STALLED else "at risk"
    return signal_of(
        subject,
        signals.RECOVERED,
        subject.now_ms,
        about=before.cause or before.reason or "",
        episode=f"{subject.state.life}:{deadline}",
        milestone=standing.plan.by_id.get(before.cause or ""),
        status_to=ON_TRACK,
        reason=before.reason,
        summary=f"{subject.state.name} was {was} and is back on track.",
        evidence=Evidence(rule="no rule of at_risk or stalled holds"),
        next=next_step(subject),
        origin=signals.origin_of(catch_up=subject.in_old_trouble),
        late=_disproved(subject, deadline),
    )


def _disproved(subject: Subject, deadline_ms: int) -> bool:
    """Whether what ended the trouble had happened before its deadline and only arrived late."""
    before, standing = subject.plan_state, subject.standing
    if before.reason == QUIET:
        quiet_from = standing.quiet_from_ms
        return quiet_from is not None and quiet_from <= deadline_ms
    reached = standing.reached.get(before.cause or subject.plan.first_value)
    return reached is not None and reached <= deadline_ms
