"""Whom a signal is about and as of when, and what every signal says of that: who, under which plan, what comes next."""

from typing import Any

from msgspec import Struct

from services.activation_engine.domain import signals
from services.activation_engine.domain.account import AccountState, PlanState
from services.activation_engine.domain.instants import date_text
from services.activation_engine.domain.plan import SEGMENT_TRAIT, Milestone, Plan
from services.activation_engine.domain.plan_set import LivePlan
from services.activation_engine.domain.signals import CandidateSignal
from services.activation_engine.domain.status import Standing, first_missing
from services.activation_engine.domain.wording import way_to


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
    """A signal of this kind. `about` and `episode` tell it from others of the kind; `fields` are what it says besides
    what all do."""
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


def next_step(subject: Subject) -> str:
    """The required milestone that is due next, and what reaches it."""
    standing, plan = subject.standing, subject.plan
    missing = first_missing(plan, standing.segment, standing.reached, standing.waived)
    if missing is None:
        return "Nothing is left to do in this plan."
    due = standing.due_at(missing)
    by = "" if due is None else f" Due {date_text(due, start_ms=standing.start_ms, day_ms=plan.day_ms)}."
    return way_to(plan, plan.milestone(missing), standing) + by
