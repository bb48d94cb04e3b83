"""One use of the product taken into an account's activity, kept coarse so that most uses change nothing."""

from msgspec import Struct

from services.activation_engine.domain.activity import PRESENT_DAYS, Activity, joined_bits
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.instants import DAY_MS
from services.activation_engine.domain.people import PEOPLE_KEPT, Seen, first_roles, newest_people, place_of


class Fold(Struct, frozen=True):
    """How a plan set folds activity: the step to which times are rounded up, the lengths of days that are kept, and for
    how long at least a person counts as present."""

    step_ms: int = DAY_MS
    day_lengths: tuple[int, ...] = (DAY_MS,)
    present_ms: int = PRESENT_DAYS * DAY_MS

    def up(self, at_ms: int) -> int:
        """The end of the step in which an instant lies."""
        return -(-at_ms // self.step_ms) * self.step_ms

    def stretch(self, at_ms: int) -> tuple[int, int]:
        """The stretch, (from, to], around an instant that lies in one step and in one day of each length."""
        start, end = self.up(at_ms) - self.step_ms, self.up(at_ms)
        for length in self.day_lengths:
            day = at_ms // length
            start, end = max(start, day * length - 1), min(end, (day + 1) * length - 1)
        return start, end

    def earlier_day(self, at_ms: int, now_ms: int) -> bool:
        """Whether an instant lies in a day before that of `now_ms`, by any length of days."""
        for length in self.day_lengths:  # noqa: SIM110 - a generator doubles the cost, on the hot path
            if at_ms // length < now_ms // length:
                return True
        return False


def fold_activity(activity: Activity, event: Event, person: str, how: Fold) -> bool:
    """Take in one use of the product by `person`; whether anything changed. Equal to a join with that one use, without
    the copies."""
    at, role, seen = event.occurred_at_ms, event.role, activity.people.get(person)
    up = how.up(at)
    changed = _fold_times(activity, at, up, event.name or event.type)
    for length in how.day_lengths:
        newest = activity.days.get(length)
        if newest is None or newest[0] != at // length:
            changed |= _fold_day(activity, length, at // length)
    if seen is None or up > seen[0] or (role is not None and up == seen[0] and role > seen[1]):
        changed |= _fold_person(activity, person, (up, role or ""))
    if role is not None and activity.roles.get(role, -1) < up:
        changed |= _fold_role(activity, role, up)
    return changed


def _fold_times(activity: Activity, at: int, up: int, name: str) -> bool:
    first, last, did = activity.first_ms, activity.last_ms, activity.did
    if first is None or last is None or did is None:
        activity.first_ms, activity.last_ms, activity.did = at, up, (at, name)
        return True
    earlier = at < first
    if earlier:
        activity.first_ms = at
    if up > last:
        activity.last_ms, activity.did = up, (at, name)
    elif up < last or at > did[0] or (at, name) >= did:
        return earlier
    else:
        activity.did = (at, name)
    return True


def _fold_day(activity: Activity, length: int, day: int) -> bool:
    known, one = activity.days.get(length), (day, b"\x01")
    joined = joined_bits(one if known is None else known, one)
    if joined == known:
        return False
    activity.days[length] = joined
    return True


def _fold_person(activity: Activity, person: str, seen: Seen) -> bool:
    people = activity.people
    full = person not in people and len(people) >= PEOPLE_KEPT
    if full and place_of(person, seen) < min(place_of(one, known) for one, known in people.items()):
        return False
    people[person] = seen
    activity.people = newest_people(people)
    return True


def _fold_role(activity: Activity, role: str, up: int) -> bool:
    before = activity.roles.get(role)
    activity.roles[role] = up
    activity.roles = first_roles(activity.roles)
    return activity.roles.get(role) != before
