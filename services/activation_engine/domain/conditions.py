"""Conditions that reach a milestone: leaves over trackers, other milestones, and `any`, `all`, `at_least` of them.

Only monotone conditions exist here: once true, more records cannot make one false again."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from services.activation_engine.domain.trackers import Tracker, TrackerStates


class Progress(Struct, frozen=True):
    """How far a condition has come: `measured` of `threshold`."""

    measured: int
    threshold: int

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.measured / self.threshold


class Condition(Struct, frozen=True):
    """When something became true; `reached` holds the milestones that are already decided."""

    def reached_at(self, states: TrackerStates, reached: Mapping[str, int]) -> int | None:
        """The instant in milliseconds, or None while it is not true."""
        raise NotImplementedError

    def progress(self, states: TrackerStates, reached: Mapping[str, int]) -> Progress:
        """Measured value and threshold."""
        raise NotImplementedError

    def leaves(self) -> "Iterator[Leaf]":
        """The leaves below."""
        return iter(())

    def milestones(self) -> Iterator[str]:
        """The milestones it refers to."""
        return iter(())


class Leaf(Condition, frozen=True):
    """One tracker; `text` is how a person reads it."""

    tracker: Tracker
    text: str

    def reached_at(self, states: TrackerStates, reached: Mapping[str, int]) -> int | None:
        """When the tracker reached its threshold."""
        return self.tracker.reached_at(states)

    def progress(self, states: TrackerStates, reached: Mapping[str, int]) -> Progress:
        """The tracker's own measure."""
        return Progress(self.tracker.measured(states), self.tracker.threshold)

    def leaves(self) -> "Iterator[Leaf]":
        """Itself."""
        yield self


class MilestoneReached(Condition, frozen=True):
    """Another milestone, with its prerequisites."""

    milestone: str
    title: str

    def reached_at(self, states: TrackerStates, reached: Mapping[str, int]) -> int | None:
        """When that milestone was reached."""
        return reached.get(self.milestone)

    def progress(self, states: TrackerStates, reached: Mapping[str, int]) -> Progress:
        """1 of 1 once reached."""
        return Progress(1 if self.milestone in reached else 0, 1)

    def milestones(self) -> Iterator[str]:
        """Itself."""
        yield self.milestone


class AtLeast(Condition, frozen=True):
    """`needed` of the parts: 1 is `any`, all of them is `all`; `label` is how a person reads it where its parts would
    say too much, as in `adoption of 40%`."""

    needed: int
    parts: tuple[Condition, ...]
    label: str = ""

    def reached_at(self, states: TrackerStates, reached: Mapping[str, int]) -> int | None:
        """The instant at which the n-th part became true."""
        times = [at for part in self.parts if (at := part.reached_at(states, reached)) is not None]
        if len(times) < self.needed:
            return None
        return min(times) if self.needed == 1 else sorted(times)[self.needed - 1]

    def progress(self, states: TrackerStates, reached: Mapping[str, int]) -> Progress:
        """For `any` the part that came furthest, otherwise how many parts are true."""
        parts = [part.progress(states, reached) for part in self.parts]
        if self.needed == 1 and not self.label:
            return max(parts, key=lambda part: part.share)
        return Progress(sum(part.share >= 1 for part in parts), self.needed)

    def leaves(self) -> Iterator[Leaf]:
        """Those of every part."""
        for part in self.parts:
            yield from part.leaves()

    def milestones(self) -> Iterator[str]:
        """Those of every part."""
        for part in self.parts:
            yield from part.milestones()
