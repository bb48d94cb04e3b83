"""From a transition to the signal that tells people about it: evidence, summary, what comes next."""

from typing import Any

from msgspec import Struct

from services.activation_engine.domain import signals
from services.activation_engine.domain.account import (
    ACTIVATED,
    CLOSED,
    ON_TRACK,
    PAUSED,
    STALLED,
    TROUBLED,
    AccountState,
    PlanState,
)
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.instants import DAY_MS, date_text, days_text, in_days, length_text, parse_instant
from services.activation_engine.domain.likely import likely
from services.activation_engine.domain.orders import Life
from services.activation_engine.domain.plan import SEGMENT_TRAIT, Milestone, Plan, progress_of
from services.activation_engine.domain.plan_set import LivePlan
from services.activation_engine.domain.signals import CandidateSignal, Evidence
from services.activation_engine.domain.status import QUIET, Deadline, Standing, Verdict, first_missing
from services.activation_engine.domain.timers import between
from services.activation_engine.domain.wording import (
    condition_text,
    quiet_days,
    quiet_text,
    reason_text,
    remedy,
    rule_text,
    way_to,
)


class Subject(Struct, frozen=True):
    """Whom a signal is about, as of `now_ms`, and what contributed: `message_id` of the record, or None at a tick.
    `origin` overrides the usual rules when a plan version's going live is what announces."""

    state: AccountState
    live: LivePlan
    plan_state: PlanState
    standing: Standing
    now_ms: int
    message_id: str | None = None
    origin: str | None = None

    @property
    def plan(self) -> Plan:
        """The plan's content."""
        return self.live.plan

    @property
    def events(self) -> tuple[str, ...]:
        """The contributing message ids."""
        return () if self.message_id is None else (self.message_id,)

    def is_history(self, deadline_ms: int) -> bool:
        """Whether a deadline was over before anybody could be told."""
        return signals.is_history(self.state, self.plan_state, self.live, deadline_ms)

    def is_old_news(self, at_ms: int) -> bool:
        """As `is_history`, for what is dated by when it was heard of."""
        return signals.is_old_news(self.state, self.plan_state, self.live, at_ms)

    @property
    def in_old_trouble(self) -> bool:
        """Whether nothing of the trouble that it is in was told but as history."""
        known = self.plan_state
        return self.is_history(known.deadline_ms or 0) if known.catch_up is None else known.catch_up


def signal_of(
    subject: Subject,
    kind: str,
    at_ms: int,
    *,
    about: str,
    episode: str,
    milestone: Milestone | None = None,
    **fields: Any,
) -> CandidateSignal:
    state, plan, standing = subject.state, subject.plan, subject.standing
    status = subject.plan_state.shown
    trait = state.facts.trait(SEGMENT_TRAIT)
    first_value = standing.reached.get(plan.first_value)
    return CandidateSignal(
        id=signals.signal_id(state.account_id, plan.id, about, kind, episode),
        type=kind,
        timestamp_ms=at_ms,
        account_id=state.account_id,
        account_name=state.name,
        segment=standing.segment.id if plan.segmented else (trait if isinstance(trait, str) else None),
        owner=state.owner,
        traits=state.facts.trait_values(),
        plan_id=plan.id,
        plan_version=subject.live.version,
        milestone_id=milestone.id if milestone else None,
        milestone_title=milestone.title if milestone else None,
        status_from=fields.pop("status_from", status),
        status_to=fields.pop("status_to", status),
        days_since_start=signals.days_between(standing.start_ms, at_ms, plan.day_ms),
        ttfv_days=signals.days_between(standing.start_ms, first_value, plan.day_ms),
        **fields,
    )


def _once(
    subject: Subject, kind: str, at_ms: int, *, milestone: Milestone | None = None, **fields: Any
) -> CandidateSignal:
    """A signal that comes once per life of the account."""
    about, episode = milestone.id if milestone else "", str(subject.state.life)
    origin = subject.origin or signals.milestone_origin(subject.state, subject.live, at_ms)
    return signal_of(subject, kind, at_ms, about=about, episode=episode, milestone=milestone, origin=origin, **fields)


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


def _milestone_evidence(subject: Subject, milestone: Milestone) -> Evidence:
    facts: Facts = subject.state.facts
    marked = parse_instant(facts.trait(milestone.mark_trait))
    # The earlier of the mark and the condition counts, and a trait that holds no date marks nothing.
    if milestone.when is None or (marked is not None and marked == subject.standing.reached.get(milestone.id)):
        return Evidence(f"{milestone.id} dated by {milestone.mark_trait}", 1, 1, subject.events)
    progress = progress_of(milestone, facts, subject.standing.reached)
    return Evidence(
        f"{milestone.id} when {condition_text(milestone.when)}", progress.measured, progress.threshold, subject.events
    )


def next_step(subject: Subject) -> str:
    """The required milestone that is due next, and what reaches it."""
    standing, plan = subject.standing, subject.plan
    missing = first_missing(plan, standing.segment, standing.reached, standing.waived)
    if missing is None:
        return "Nothing is left to do in this plan."
    due = standing.due_at(missing)
    by = "" if due is None else f" Due {date_text(due, start_ms=standing.start_ms, day_ms=plan.day_ms)}."
    return way_to(plan, plan.milestone(missing), standing) + by


def _when(subject: Subject, at_ms: int) -> str:
    plan, start = subject.plan, subject.standing.start_ms
    if plan.day_ms != DAY_MS and start is None:
        return "before a start is known"
    return date_text(at_ms, start_ms=start, day_ms=plan.day_ms)
