"""A compiled plan: milestones in an order in which each comes after what it needs, and every length in milliseconds,
already scaled by the plan's `day` and stretched by the segment's pace."""

from collections.abc import Container, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import force_setattr

from services.activation_engine.domain.activity import Activity, ActivityRule
from services.activation_engine.domain.conditions import Condition, Leaf, Progress
from services.activation_engine.domain.facts import MARK_PREFIX, Facts
from services.activation_engine.domain.instants import parse_instant
from services.activation_engine.domain.predicates import Predicate, all_hold
from services.activation_engine.domain.watches import Watch

# In `start`: the account's earliest activity instead of a trait.
FIRST_EVENT = "first_event"
SEGMENT_TRAIT = "segment"
# A milestone nominally due by the end of this week belongs to the set-up.
_SETUP_WEEKS = 2
# Never changed: an account of which no activity is known.
_NO_ACTIVITY = Activity()
_NOTHING_HELD: Mapping[str, int] = MappingProxyType({})


class Due(Struct, frozen=True):
    """`week N` (stretched by pace) or a fixed length after the start; `text` as written in the plan."""

    nominal_ms: int
    stretched: bool
    text: str

    def offset_ms(self, pace: float) -> int:
        """Milliseconds after the start for a segment of this pace."""
        return round(self.nominal_ms * pace) if self.stretched else self.nominal_ms


class Milestone(Struct, frozen=True):
    """One dated checkable result. Without `when` it is reached by hand only."""

    id: str
    title: str
    required: bool = True
    needs: tuple[str, ...] = ()
    when: Condition | None = None
    due: Due | None = None
    # The trait that dates it by hand or on import: `reached.` and its id.
    mark_trait: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "mark_trait", MARK_PREFIX + self.id)


class Segment(Struct, frozen=True):
    """What one kind of account is given: pace, window, and per milestone the offset of its due time."""

    id: str
    pace: float = 1.0
    window_ms: int | None = None
    at_risk_after_ms: int | None = None
    escalate_after_ms: int | None = None
    due_offsets_ms: dict[str, int] = {}
    # (offset, milestone) of the required milestones with a due time, earliest first.
    obligations: tuple[tuple[int, str], ...] = ()


class Escalation(Struct, frozen=True):
    """Who is told, by role, when an account is past its segment's `escalate_after_ms` and `unless` does not hold."""

    unless: Condition | None = None
    to: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    """One immutable plan version's content. `milestones` is in dependency order, `display_order` as written."""

    id: str
    title: str
    hash: str
    day_ms: int
    start: tuple[str, ...]
    grace_ms: int
    milestones: tuple[Milestone, ...]
    display_order: tuple[str, ...]
    first_value: str
    segments: dict[str, Segment]
    default_segment: str
    segmented: bool
    required: tuple[str, ...]
    overdue_ms: int | None = None
    quiet_ms: int | None = None
    applies_to: tuple[Predicate, ...] = ()
    activity: ActivityRule = ActivityRule()
    # One leaf per core feature: its share is the account's adoption.
    core_features: tuple[Leaf, ...] = ()
    escalation: Escalation | None = None
    risks: tuple[Watch, ...] = ()
    opportunities: tuple[Watch, ...] = ()
    by_id: dict[str, Milestone] = {}
    # Risks and opportunities, and those of them that are about a trait.
    watches: tuple[Watch, ...] = ()
    of_traits: tuple[Watch, ...] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "by_id", {milestone.id: milestone for milestone in self.milestones})
        force_setattr(self, "watches", (*self.risks, *self.opportunities))
        force_setattr(self, "of_traits", tuple(one for one in self.watches if one.of_trait))

    def milestone(self, milestone_id: str) -> Milestone:
        """By id; KeyError when the plan has none of that name."""
        return self.by_id[milestone_id]

    def displayed(self) -> Iterator[Milestone]:
        """Milestones in the order of the plan file."""
        return map(self.milestone, self.display_order)

    def leaves(self) -> Iterator[Leaf]:
        """Every leaf condition of the plan."""
        for condition in self._conditions():
            yield from condition.leaves()
        yield from self.core_features

    def _conditions(self) -> Iterator[Condition]:
        for milestone in self.milestones:
            if milestone.when is not None:
                yield milestone.when
        for watch in self.watches:
            yield from watch.conditions()
        if self.escalation is not None and self.escalation.unless is not None:
            yield self.escalation.unless

    def counting_anew(self, known: Container[int]) -> list[str]:
        """The milestones that have a condition whose tracker is not among the known ones."""
        return [
            one.id
            for one in self.displayed()
            if one.when is not None and any(leaf.tracker.id not in known for leaf in one.when.leaves())
        ]

    def covers(self, facts: Facts) -> bool:
        """Whether the account runs under this plan at all."""
        return not self.applies_to or all_hold(self.applies_to, facts.trait_values())

    def segment_of(self, facts: Facts) -> Segment:
        """The segment that the trait names exactly, otherwise the plan's `else`."""
        if not self.segmented:
            return self.segments[self.default_segment]
        named = facts.trait(SEGMENT_TRAIT)
        known = self.segments.get(named) if isinstance(named, str) else None
        return known or self.segments[self.default_segment]

    def activity_of(self, facts: Facts) -> Activity:
        """What is known of the account's activity by this plan's rule."""
        return facts.activity.get(self.activity.id) or _NO_ACTIVITY

    def features_of(self, facts: Facts) -> bytes | None:
        """Which core features the account uses, a bit each from the lowest of the first byte on; None when the plan
        names none."""
        if not self.core_features:
            return None
        bits = 0
        for number, one in enumerate(self.core_features):
            bits |= (one.tracker.reached_at(facts.trackers) is not None) << number
        return bits.to_bytes(-(-len(self.core_features) // 8), "little")

    def adoption_of(self, features: bytes) -> float:
        """The share of core features, 0 to 1, of an account that uses these."""
        return int.from_bytes(features, "little").bit_count() / len(self.core_features)

    def quiet_limits(self) -> Iterator[int]:
        """Every length of quiet that decides something, in milliseconds."""
        if self.quiet_ms is not None:
            yield self.quiet_ms
        yield from (one.for_ms for one in self.watches if one.quiet)

    def start_of(self, facts: Facts) -> int | None:
        """The first of the plan's `start` sources that is known, in milliseconds."""
        for source in self.start:
            at = self.activity_of(facts).first_ms if source == FIRST_EVENT else parse_instant(facts.trait(source))
            if at is not None:
                return at
        return None

    def waived_by(self, facts: Facts) -> frozenset[str]:
        """The milestones that this account need not reach; first value cannot be waived."""
        waived = facts.waived()
        return waived - {self.first_value} if waived else waived

    def setup(self) -> Iterator[Milestone]:
        """The milestones nominally due in the first two weeks."""
        limit_ms = _SETUP_WEEKS * 7 * self.day_ms
        return (one for one in self.milestones if one.due is not None and one.due.nominal_ms <= limit_ms)


def reached_milestones(plan: Plan, facts: Facts, held: Mapping[str, int] = _NOTHING_HELD) -> dict[str, int]:
    """When each reached milestone was reached: its own condition or its prerequisites, whichever came last; a date set
    by hand, or `held` from an earlier version, stands alone, whatever the prerequisites say, and the earliest counts.
    What is waived is needed by nobody."""
    reached: dict[str, int] = {}
    states, traits, waived = facts.trackers, facts.traits, plan.waived_by(facts)
    for milestone in plan.milestones:
        at = milestone.when.reached_at(states, reached) if milestone.when is not None else None
        if at is not None and milestone.needs:
            for needed in milestone.needs:
                prerequisite = reached.get(needed)
                if prerequisite is not None:
                    at = max(at, prerequisite)
                elif needed not in waived:
                    at = None
                    break
        if milestone.mark_trait in traits:
            marked = parse_instant(facts.trait(milestone.mark_trait))
            if marked is not None:
                at = marked if at is None else min(at, marked)
        if held and milestone.id in held:
            at = held[milestone.id] if at is None else min(at, held[milestone.id])
        if at is not None:
            reached[milestone.id] = at
    return reached


def progress_of(milestone: Milestone, facts: Facts, reached: dict[str, int]) -> Progress:
    """How far a milestone has come by its own condition; a milestone dated by hand, or already reached, is met."""
    if milestone.when is None:
        return Progress(1 if milestone.id in reached else 0, 1)
    return milestone.when.progress(facts.trackers, reached)
