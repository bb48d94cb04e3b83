"""The state of one account: its facts, and where it stands under every plan that it runs under."""

from typing import Self

from msgspec import Struct

from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.orders import life_of
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.watches import WatchState

NOT_STARTED, ON_TRACK, AT_RISK, STALLED, ACTIVATED, PAUSED, CLOSED = (
    "not_started",
    "on_track",
    "at_risk",
    "stalled",
    "activated",
    "paused",
    "closed",
)
STATUSES = (NOT_STARTED, ON_TRACK, AT_RISK, STALLED, ACTIVATED, PAUSED, CLOSED)
# Statuses from which `recovered` is possible: the next tick looks again as soon as anything changes.
TROUBLED = frozenset({AT_RISK, STALLED})
# Reasons of `closed`: the plan does not cover the account any more, or somebody closed it.
LEFT_PLAN, BY_HAND = "left_plan", "closed_by_hand"


class PlanState(Struct, array_like=True, gc=False):
    """One account under one plan, as of the newest record and tick. `status` is what it would be without a pause;
    `shown` is what people see."""

    version: int
    status: str = NOT_STARTED
    status_since_ms: int = 0
    # The rule that put it into at_risk or stalled, with its milestone and deadline; kept until the status changes.
    reason: str | None = None
    cause: str | None = None
    deadline_ms: int | None = None
    segment: str = ""
    start_ms: int | None = None
    # Append time of the newest record that changed start or segment, reopened the account or brought it back under the
    # plan: deadlines up to it are history.
    judged_from_ms: int = 0
    # The start that was found to lie in the past; not None means that `activation_started` is decided.
    begun_ms: int | None = None
    # Milestones whose signal is decided; None once the dated mark behind one was taken back.
    reached: dict[str, int | None] = {}
    valued: bool = False
    activated_at_ms: int | None = None
    paused: bool = False
    # The life in which it was escalated, 0 for none.
    escalated_life: int = 0
    # Since when it is on track or activated and no risk is open.
    healthy_since_ms: int | None = None
    watches: dict[str, WatchState] = {}
    # Whether any further use of the product may end what is open: then the next tick looks.
    watchful: bool = False
    # Dates of milestones that an earlier version found and the one of now does not, or finds later.
    held: dict[str, int] = {}
    # Whether nothing of the trouble that it is in was told but as history; None in rows of before this was kept.
    catch_up: bool | None = None
    # Up to when nothing was news because the plan did not cover the account: the append time of the record that
    # reopened it or brought it back, or seven plan days before that which brought it under the plan at first.
    covered_from_ms: int = 0

    def enter(
        self,
        status: str,
        since_ms: int,
        *,
        reason: str | None = None,
        cause: str | None = None,
        by: int | None = None,
        catch_up: bool = False,
    ) -> None:
        """Change the status; `reason`, its milestone and its deadline are those of the rule that caused it."""
        self.status, self.status_since_ms = status, since_ms
        self.reason, self.cause, self.deadline_ms, self.catch_up = reason, cause, by, catch_up

    @property
    def shown(self) -> str:
        """The status as people see it."""
        return PAUSED if self.paused and self.status != CLOSED else self.status

    @property
    def shown_reason(self) -> str | None:
        """Why, as people see it; a pause has its own words in the explanation."""
        return self.reason if self.shown == self.status else None

    def now_reached(self) -> dict[str, int]:
        """The milestones that are reached by what is known now."""
        return {milestone: at for milestone, at in self.reached.items() if at is not None}

    def begun(self, now_ms: int) -> bool:
        """Whether the start is known and not in the future."""
        return self.start_ms is not None and (self.start_ms <= now_ms or self.start_ms == self.begun_ms)


class AccountState(Struct, eq=False, gc=False):
    """Changed in place by `apply_event` and `apply_tick`: after a failed batch, forget every state it touched."""

    account_id: str
    enrolled_at_ms: int
    facts: Facts
    plans: dict[str, PlanState] = {}
    next_check_ms: int | None = None
    sequence: int = 0
    # Must be written: set by the fold, cleared by whoever wrote it.
    dirty: bool = False
    # Nothing was known of it before the record at hand; not stored.
    fresh: bool = False
    # Nothing about it may be kept or sent any more; not stored.
    erased: bool = False
    # Where it stands under a plan was decided again: rows made from that are to be compared. Set and cleared alike.
    decided: bool = False
    # The plan set that it was last brought up to; not stored.
    adopted: PlanSet | None = None
    # The clock of the last tick that decided it by that set; not stored.
    looked_ms: int | None = None

    @classmethod
    def new(cls, account_id: str, enrolled_at_ms: int) -> Self:
        """An account first heard of in the record appended at `enrolled_at_ms`; dirty, so that this is remembered."""
        state = cls(account_id, enrolled_at_ms, Facts())
        state.dirty = state.fresh = True
        return state

    @property
    def life(self) -> int:
        """Which life of the account it is: 1, and 1 more for each reopening."""
        return life_of(self.facts.orders).number

    @property
    def alert(self) -> bool:
        """Whether the next tick looks as soon as anything changes."""
        for known in self.plans.values():  # noqa: SIM110 - a generator doubles the cost, on the hot path
            if known.watchful or known.status in TROUBLED:
                return True
        return False

    @property
    def name(self) -> str:
        """What people call it: the trait `name`, otherwise its id."""
        name = self.facts.trait("name")
        return name if isinstance(name, str) and name else self.account_id

    @property
    def owner(self) -> str | None:
        """The trait `owner`."""
        owner = self.facts.trait("owner")
        return owner if isinstance(owner, str) and owner else None

    def check_by(self, at_ms: int) -> None:
        """Lower `next_check_ms`; a later time leaves it alone, for it is only a lower bound."""
        if self.next_check_ms is None or at_ms < self.next_check_ms:
            self.next_check_ms = at_ms
            self.dirty = True
