"""Who used the product and when: joins over the events that a plan counts as activity."""

from hashlib import blake2b

from msgspec import Struct
from msgspec.json import encode

from services.activation_engine.domain.people import (
    NEVER,
    Seen,
    first_roles,
    newest_people,
    pseudonym,
    unseen_person,
    unseen_role,
    was_active,
)
from services.activation_engine.domain.trackers import NO_EVENT, Selector

DAYS_KEPT = 96
# In `quiet`: any person of the account.
ANYONE = "anyone"
# People and roles of this many plan days count as present.
PRESENT_DAYS = 28
_ALL_DAYS = (1 << DAYS_KEPT) - 1

# The newest active day number since the epoch, and a big-endian bitmap whose lowest bit is that day.
DayBits = tuple[int, bytes]


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
    bitmap per length of a day. Roles and people never active are below 0: see `unseen_role` and `unseen_person`."""

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


def quiet_since(activity: Activity, who: tuple[str, ...]) -> int | None:
    """Since when none of these people is active: the last one's use or, when none ever was active, since one is known.
    None when nobody of them is known."""
    newest = max((last for one in who if (last := activity.last_of(one)) is not None), default=None)
    # Of roles that were never active the greatest is the one known first.
    return newest if newest is None or was_active(newest) else -newest


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
        joined[length] = joined_bits(other if known is None else known, other)
    return joined


def joined_bits(one: DayBits, other: DayBits) -> DayBits:
    """The active days of both, of which the 96 newest are kept."""
    (newest, newer), (day, older) = (one, other) if one[0] >= other[0] else (other, one)
    bits = int.from_bytes(newer, "big")
    if newest - day < DAYS_KEPT:
        bits |= int.from_bytes(older, "big") << (newest - day)
    return newest, (bits & _ALL_DAYS).to_bytes(DAYS_KEPT // 8, "big")


def _join_people(mine: Activity, theirs: Activity) -> dict[str, Seen]:
    joined = dict(mine.people)
    for person, seen in theirs.people.items():
        joined[person] = max(seen, joined.get(person, seen))
    return newest_people(joined)


def _join_roles(mine: Activity, theirs: Activity) -> dict[str, int]:
    joined = dict(mine.roles)
    for role, last in theirs.roles.items():
        joined[role] = max(last, joined.get(role, last))
    return first_roles(joined)


def copy_of(activity: Activity) -> Activity:
    """The same facts, to be changed apart."""
    copied = Activity()
    join_activity(copied, activity)
    return copied


def know_person(activity: Activity, person: str | None, role: str, at_ms: int) -> bool:
    """This person, or one who is not named, exists in this role, though nobody saw them use the product; whether that
    is news."""
    since, seen = unseen_role(at_ms), unseen_person(at_ms, role)
    new_role = activity.roles.get(role, -NEVER) < since
    new_person = person is not None and activity.people.get(person, (-NEVER, "")) < seen
    if not new_role and not new_person:
        return False
    return join_activity(activity, Activity(people={} if person is None else {person: seen}, roles={role: since}))


def forget_person(activity: Activity, user_id: str) -> bool:
    """Keep what a person did under a pseudonym; whether the person was known."""
    seen = activity.people.pop(user_id, None)
    if seen is None:
        return False
    join_activity(activity, Activity(people={pseudonym(user_id): seen}))
    return True
