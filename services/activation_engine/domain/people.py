"""The people and roles of an account that are kept: the newest of the one, the first by name of the other. An erased
person goes on to count under a number."""

from services.activation_engine.domain.instants import DAY_MS
from services.activation_engine.domain.trackers import person64

PEOPLE_KEPT = 16
ROLES_KEPT = 16
# Kept before other roles when an account names more than the limit.
STANDARD_ROLES = ("champion", "end_user", "team_lead", "executive", "it", "finance")
# Later than any event.
NEVER = 1 << 62
# No id that ingest lets in has this character.
_ERASED = "\0"

# Last seen in milliseconds, rounded up, and the role on the records of that stretch, "" when they had none.
Seen = tuple[int, str]


def was_active(last_ms: int) -> bool:
    """Whether this time of a role or a person is that of a use, and not of becoming known."""
    return last_ms > 0


def unseen_role(since_ms: int) -> int:
    """The time of a role that is known since then and was never active: below any use, the earliest the greatest."""
    return -since_ms


def unseen_person(since_ms: int, role: str) -> Seen:
    """The same of a person: below any use, the role of the newest day the greatest."""
    return since_ms // DAY_MS - NEVER, role


def place_of(person: str, seen: Seen) -> tuple[int, int]:
    """What decides who is kept: last seen, then an order of people that erasing one does not change."""
    return seen[0], int(person[1:], 16) if is_erased(person) else person64(person)


def newest_people(people: dict[str, Seen]) -> dict[str, Seen]:
    """Those that are kept of these."""
    if len(people) <= PEOPLE_KEPT:
        return people
    return dict(sorted(people.items(), key=lambda item: place_of(*item), reverse=True)[:PEOPLE_KEPT])


def first_roles(roles: dict[str, int]) -> dict[str, int]:
    """Those that are kept of these."""
    if len(roles) <= ROLES_KEPT:
        return roles
    kept = sorted(roles, key=lambda role: (role not in STANDARD_ROLES, role))[:ROLES_KEPT]
    return {role: roles[role] for role in kept}


def pseudonym(user_id: str) -> str:
    """The name under which an erased person's use goes on to count."""
    return f"{_ERASED}{person64(user_id):016x}"


def is_erased(person: str) -> bool:
    """Whether a person's id was erased."""
    return person.startswith(_ERASED)
