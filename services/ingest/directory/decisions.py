"""What becomes of a batch of the unresolved topic: pure, from what is known to what is to be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.product_event import ProductEvent, encode
from schemas.unresolved_event import UnresolvedEvent
from services.ingest.accounts import BY_USER
from services.ingest.directory.person import NOBODY, Lesson, Person, taught
from services.ingest.directory.store import ParkedEvent, Waiting
from services.ingest.people import StaffRule

AMBIGUOUS = (
    "account_ambiguous",
    "Say whose event it is in each event of this user, who was seen in several accounts: context.groupId.",
)
TOO_MANY_WAIT = (
    "account_unknown",
    "Send a group call for this user, or an account id in each event: too many of its events wait for one.",
)
EXPIRED = (
    "account_unknown",
    "Send a group call for this user, or an account id in each event: none came while this event waited.",
)


class Arrived(NamedTuple):
    """An event and its value as it was on the topic, and where."""

    event: UnresolvedEvent
    value: bytes
    offset: int


class Refused(NamedTuple):
    """An event that goes to the dead letters, and why."""

    event: UnresolvedEvent
    code: str
    message: str


class Resolved(NamedTuple):
    """A record for the product-events topic."""

    account_id: str
    value: bytes


@dataclass(slots=True)
class Decision:
    """What is to be produced, and then to be written in one transaction."""

    resolved: list[Resolved] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    parked: list[ParkedEvent] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)


def decide(
    arrived: Iterable[Arrived],
    *,
    known: Mapping[str, Person],
    waiting: Mapping[str, Waiting],
    waiting_max: int,
    staff: StaffRule,
) -> Decision:
    """The events in their order; `known` and `waiting` hold what is stored of all their users.

    An event that waits already, which a client or a crash has sent again, neither waits twice nor is refused.
    """
    decision = Decision()
    people = decision.people
    waits = {user: set(stored.message_ids) for user, stored in waiting.items()}
    room = {user: waiting_max - stored.events for user, stored in waiting.items()}
    for event, value, offset in arrived:
        user = event.user_id
        assert user is not None, "nothing without a user is decided here"
        before = people.get(user) or known.get(user, NOBODY)
        person = taught(before, _lesson(event))
        if person is not before:
            people[user] = person
        if event.account_id is not None:
            continue
        if person.ambiguous:
            decision.refused.append(Refused(event, *AMBIGUOUS))
        elif person.account is not None:
            decision.resolved.append(resolve(event, person, staff))
        elif event.message_id in waits.setdefault(user, set()):
            continue
        elif room.setdefault(user, waiting_max) <= 0:
            decision.refused.append(Refused(event, *TOO_MANY_WAIT))
        else:
            room[user] -= 1
            waits[user].add(event.message_id)
            decision.parked.append(ParkedEvent(user, event.message_id, value, offset))
    return decision


def resolve(event: UnresolvedEvent, person: Person, staff: StaffRule) -> Resolved:
    """The product event, now that its person has an account."""
    account_id = person.account
    assert account_id is not None, "only a person with one account resolves"
    record = ProductEvent(
        v=event.v,
        source=event.source,
        message_id=event.message_id,
        type=event.type,
        account_id=account_id,
        received_at=event.received_at,
        occurred_at=event.occurred_at,
        body=event.body,
        event=event.event,
        user_id=event.user_id,
        original_at=event.original_at,
        sent_at=event.sent_at,
        role=event.role if event.role is not None else person.role,
        staff=event.staff or staff.covers(None, event.email if event.email is not None else person.email),
        flags=event.flags,
        traceparent=event.traceparent,
        resolved_by=BY_USER,
    )
    return Resolved(account_id, encode(record))


def _lesson(event: UnresolvedEvent) -> Lesson:
    return Lesson(event.type, event.account_id, event.role, event.email, event.occurred_at)
