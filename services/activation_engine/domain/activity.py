"""Who used the product and when: joins over the events that a plan counts as activity, kept coarse so that most
events change nothing."""

from collections.abc import Iterator
from hashlib import blake2b

from msgspec import Struct
from msgspec.json import encode

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.instants import DAY_MS
from services.activation_engine.domain.trackers import NO_EVENT, Selector, person64

DAYS_KEPT = 96
PEOPLE_KEPT = 16
ROLES_KEPT = 16
# Kept before other roles when an account names more than the limit.
STANDARD_ROLES = ("champion", "end_user", "team_lead", "executive", "it", "finance")
# In `quiet`: any person of the account.
ANYONE = "anyone"
# People and roles of this many plan days count as present.
PRESENT_DAYS = 28
_ALL_DAYS = (1 << DAYS_KEPT) - 1
# Later than any event.
_NEVER = 1 << 62
# No id that ingest lets in has this character.
_ERASED = "\0"

# The newest active day number since the epoch, and a big-endian bitmap whose lowest bit is that day.
DayBits = tuple[int, bytes]
# Last seen in milliseconds, rounded up, and the role on the records of that stretch, "" when they had none.
Seen = tuple[int, str]


class ActivityRule(Struct, frozen=True):
    """What counts as activity: use of the product by a known person, but for the excluded events. Equal rules of all
    plans share facts, under the rule's id."""

    id: int = 0
    excluded: Selector = NO_EVENT

    @classmethod
    def without(cls, excluded: Selector) -> "ActivityRule":
        """The rule that leaves these events out; id 0 when there are none."""
        if excluded == NO_EVENT:
            return cls()
        content = encode((sorted(excluded.names), sorted(excluded.prefixes)))
        return cls(int.from_bytes(blake2b(content, digest_size=8).digest(), "big"), excluded)


class Activity(Struct, array_like=True, gc=False):
    """What is known of an account's activity by one rule. `last_ms` and the times of people and roles are rounded up to
    the plan set's step, and so may lie ahead; `did` is the earliest event of the newest step, (ms, name); `days` has a
    bitmap per length of a day. Roles and people never active are below 0: see `_unseen_role` and `_unseen_person`."""

    first_ms: int | None = None
    last_ms: int | None = None
    did: tuple[int, str] | None = None
    days: dict[int, DayBits] = {}
    people: dict[str, Seen] = {}
    roles: dict[str, int] = {}

    def last_of(self, who: str) -> int | None:
        """When anyone, or anybody of a role, was last active; below 0 for a role that never was, None for one that is
        not known."""
        return self.last_ms if who == ANYONE else self.roles.get(who)

    def people_since(self, from_ms: int) -> int:
        """Distinct people active after `from_ms`; at most PEOPLE_KEPT."""
        return sum(last > from_ms for last, _ in self.people.values())

    def days_between(self, first_day: int, last_day: int, day_ms: int) -> int:
        """Active days among these day numbers, both included; days before the 96 newest are not known."""
        newest, bits = self.days.get(day_ms, (0, b""))
        known = int.from_bytes(bits, "big")
        upper = max(0, newest - last_day)
        known >>= upper
        width = newest - upper - first_day + 1
        return (known & ((1 << width) - 1)).bit_count() if width > 0 else 0


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
    joined = _joined_bits(one if known is None else known, one)
    if joined == known:
        return False
    activity.days[length] = joined
    return True


def _fold_person(activity: Activity, person: str, seen: Seen) -> bool:
    people = activity.people
    if person not in people and len(people) >= PEOPLE_KEPT:
        last, number = min(_places(people))
        if (seen[0], _number(person)) < (last, number):
            return False
    people[person] = seen
    activity.people = _newest_people(people)
    return True


def _fold_role(activity: Activity, role: str, up: int) -> bool:
    before = activity.roles.get(role)
    activity.roles[role] = up
    activity.roles = _first_roles(activity.roles)
    return activity.roles.get(role) != before


def was_active(last_ms: int) -> bool:
    """Whether this time of a role or a person is that of a use, and not of becoming known."""
    return last_ms > 0


def _unseen_role(since_ms: int) -> int:
    """The time of a role that is known since then and was never active: below any use, the earliest the greatest."""
    return -since_ms


def _unseen_person(since_ms: int, role: str) -> Seen:
    """The same of a person: below any use, the role of the newest day the greatest."""
    return since_ms // DAY_MS - _NEVER, role


def know_person(activity: Activity, person: str | None, role: str, at_ms: int) -> bool:
    """This person, or one who is not named, exists in this role, though nobody saw them use the product; whether that
    is news."""
    since, seen = _unseen_role(at_ms), _unseen_person(at_ms, role)
    new_role = activity.roles.get(role, -_NEVER) < since
    new_person = person is not None and activity.people.get(person, (-_NEVER, "")) < seen
    if not new_role and not new_person:
        return False
    return join_activity(activity, Activity(people={} if person is None else {person: seen}, roles={role: since}))


def join_activity(mine: Activity, theirs: Activity) -> bool:
    """Join other facts into `mine`; whether that changed."""
    before = (mine.first_ms, mine.last_ms, mine.did)
    mine.did = _newest_did(mine, theirs)
    if theirs.first_ms is not None and theirs.last_ms is not None:
        mine.first_ms = min(theirs.first_ms, theirs.first_ms if mine.first_ms is None else mine.first_ms)
        mine.last_ms = max(theirs.last_ms, theirs.last_ms if mine.last_ms is None else mine.last_ms)
    changed = before != (mine.first_ms, mine.last_ms, mine.did)
    days, people, roles = _join_days(mine, theirs), _join_people(mine, theirs), _join_roles(mine, theirs)
    changed |= days != mine.days or people != mine.people or roles != mine.roles
    mine.days, mine.people, mine.roles = days, people, roles
    return changed


def _newest_did(mine: Activity, theirs: Activity) -> tuple[int, str] | None:
    if mine.did is None or theirs.did is None or mine.last_ms is None or theirs.last_ms is None:
        return mine.did or theirs.did
    if mine.last_ms != theirs.last_ms:
        return mine.did if mine.last_ms > theirs.last_ms else theirs.did
    return min(mine.did, theirs.did)


def _join_days(mine: Activity, theirs: Activity) -> dict[int, DayBits]:
    joined = dict(mine.days)
    for length, other in theirs.days.items():
        known = joined.get(length)
        joined[length] = _joined_bits(other if known is None else known, other)
    return joined


def _joined_bits(one: DayBits, other: DayBits) -> DayBits:
    (newest, newer), (day, older) = (one, other) if one[0] >= other[0] else (other, one)
    bits = int.from_bytes(newer, "big")
    if newest - day < DAYS_KEPT:
        bits |= int.from_bytes(older, "big") << (newest - day)
    return newest, (bits & _ALL_DAYS).to_bytes(DAYS_KEPT // 8, "big")


def _join_people(mine: Activity, theirs: Activity) -> dict[str, Seen]:
    joined = dict(mine.people)
    for person, seen in theirs.people.items():
        joined[person] = max(seen, joined.get(person, seen))
    return _newest_people(joined)


def _newest_people(people: dict[str, Seen]) -> dict[str, Seen]:
    if len(people) <= PEOPLE_KEPT:
        return people
    newest = sorted(people, key=lambda person: (people[person][0], _number(person)), reverse=True)
    return {person: people[person] for person in newest[:PEOPLE_KEPT]}


def _join_roles(mine: Activity, theirs: Activity) -> dict[str, int]:
    joined = dict(mine.roles)
    for role, last in theirs.roles.items():
        joined[role] = max(last, joined.get(role, last))
    return _first_roles(joined)


def _first_roles(roles: dict[str, int]) -> dict[str, int]:
    if len(roles) <= ROLES_KEPT:
        return roles
    kept = sorted(roles, key=lambda role: (role not in STANDARD_ROLES, role))[:ROLES_KEPT]
    return {role: roles[role] for role in kept}


def copy_of(activity: Activity) -> Activity:
    """The same facts, to be changed apart."""
    copied = Activity()
    join_activity(copied, activity)
    return copied


def pseudonym(user_id: str) -> str:
    """The name under which an erased person's use goes on to count."""
    return f"{_ERASED}{person64(user_id):016x}"


def is_erased(person: str) -> bool:
    """Whether a person's id was erased."""
    return person.startswith(_ERASED)


def _number(person: str) -> int:
    """An order of people that erasing one does not change."""
    return int(person[1:], 16) if is_erased(person) else person64(person)


def _places(people: dict[str, Seen]) -> Iterator[tuple[int, int]]:
    """What decides who is kept: last seen, then a number of the person."""
    return ((last, _number(person)) for person, (last, _) in people.items())


def forget_person(activity: Activity, user_id: str) -> bool:
    """Keep what a person did under a pseudonym; whether the person was known."""
    seen = activity.people.pop(user_id, None)
    if seen is None:
        return False
    join_activity(activity, Activity(people={pseudonym(user_id): seen}))
    return True


def quiet_since(activity: Activity, who: tuple[str, ...]) -> int | None:
    """Since when none of these people is active: the last one's use or, when none ever was active, since one is known.
    None when nobody of them is known."""
    newest = max((last for one in who if (last := activity.last_of(one)) is not None), default=None)
    # Of roles that were never active the greatest is the one known first.
    return newest if newest is None or was_active(newest) else -newest
