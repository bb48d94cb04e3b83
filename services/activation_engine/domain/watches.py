"""Risks and opportunities: named conditions beside the status, which only ticks decide and which may close again."""

from msgspec import Struct

from services.activation_engine.domain.conditions import Condition


class Bounds(Struct, frozen=True):
    """How many: at least `least`, and below `below`, which then means one to `below` - 1."""

    least: int = 1
    below: int | None = None

    def hold(self, count: int) -> bool:
        """Whether the count lies inside."""
        return count >= self.least and (self.below is None or count < self.below)


class Watch(Struct, frozen=True):
    """A risk, or an opportunity, as the plan states it; every part that is given must hold. Lengths are milliseconds
    scaled by the plan's `day`.

    `quiet`: nobody of these roles (or `anyone`) active for `for_ms`, counted from the last activity. `people`, `roles`:
    distinct ones of the last 28 plan days. `active_days_down`: days active in the last 28 fell by this share of the 28
    before. `missing`: a trait without a value. `after`, `until`: the newest of the one is later than the newest of the
    other. `before`, `within_ms`: the date in a trait is ahead by less than that. `unless`: false. `healthy_ms`: on
    track or activated, and no risk open, for so long.
    """

    id: str
    title: str
    opportunity: bool = False
    for_ms: int = 0
    quiet: tuple[str, ...] = ()
    people: Bounds | None = None
    roles: Bounds | None = None
    active_days_down: float | None = None
    missing: str | None = None
    after: Condition | None = None
    until: Condition | None = None
    before: str | None = None
    within_ms: int = 0
    unless: Condition | None = None
    healthy_ms: int | None = None
    # An opportunity is missed when it was open for so long.
    open_ms: int | None = None
    # The rule as written in the plan, for evidence.
    text: str = ""

    @property
    def of_trait(self) -> bool:
        """Whether it is about a trait, of which only the newest telling is known."""
        return self.before is not None or self.missing is not None

    @property
    def dated_by_hearing(self) -> bool:
        """Whether it may begin with the record that tells of it, or with the start or the first use."""
        return self.of_trait or self.after is not None

    def conditions(self) -> tuple[Condition, ...]:
        """Those with facts of their own."""
        return tuple(one for one in (self.after, self.until, self.unless) if one is not None)


class WatchState(Struct, array_like=True, gc=False):
    """Where one account is with one watch. `since_ms` is since when its parts hold together, as first seen;
    `opened_at_ms` the instant at which it opened; `spent` that it ended and must be false once before it can open
    again; `baseline` the active days before a fall; `catch_up` whether its opening was told as history, None in rows of
    before this was kept."""

    since_ms: int | None = None
    opened_at_ms: int | None = None
    spent: bool = False
    baseline: int | None = None
    catch_up: bool | None = None

    @property
    def blank(self) -> bool:
        """Whether nothing needs to be remembered."""
        return self.since_ms is None and self.opened_at_ms is None and not self.spent
