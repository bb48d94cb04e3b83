"""Events to records: who, when and where are settled here, and the envelope is put around the client's own object."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from schemas.product_event import VERSION, ProductEvent, encode
from schemas.unresolved_event import UnresolvedEvent
from services.ingest.accounts import BY_USER, AccountRules, Named
from services.ingest.delivery import RECORD_BYTES_MAX, Record
from services.ingest.directory.person import NOBODY, Lesson, Person, taught
from services.ingest.events import IncomingEvent, Rejected
from services.ingest.message_ids import message_id_of, new_message_id
from services.ingest.people import StaffRule, email_of, role_of
from services.ingest.times import moment, occurrence, readable_moment

# What a product does, as opposed to what somebody says about an account or a person.
PRODUCT_ACTIVITY = frozenset({"track", "page", "screen"})

_ACCOUNT_MISSING = "Say whose event it is: context.groupId, properties.account_id, or the groupId of a group call."
_ACCOUNT_AMBIGUOUS = (
    "Say whose event it is in the event itself (context.groupId): its user was seen in several accounts."
)
_NO_BODY = msgspec.Raw(b"{}")


class Arrival(msgspec.Struct):
    """What all events of one request have in common: its key's public id, its path, and when it came."""

    source: str
    route: str
    received_at: datetime
    traceparent: str | None


class Built(msgspec.Struct, gc=False):
    """What one event becomes.

    `product` is for the product-events topic, `unresolved` for the topic that the resolver reads: the event itself
    where `product` is None, else what it teaches. `person` is what its user is after it, if anything is known of one.
    """

    product: Record | None
    unresolved: tuple[Record, ...]
    person: Person | None


class _Settled(msgspec.Struct, gc=False):
    """What both kinds of record say of one event."""

    message_id: str
    occurred_at: datetime
    original_at: datetime | None
    sent_at: datetime | None
    role: str | None
    email: str | None
    flags: tuple[str, ...]


class RecordBuilder:
    """Turns an event into its records; raises Rejected for one that must not enter the log."""

    def __init__(
        self,
        *,
        partitions: int,
        place: Callable[[str], tuple[bytes, int]],
        staff: StaffRule,
        historical_age: timedelta,
        accounts: AccountRules,
    ) -> None:
        self._partitions = partitions
        self._place = place
        self._staff = staff
        self._historical_age = historical_age
        self._accounts = accounts

    def build(self, event: IncomingEvent, arrival: Arrival, person: Person | None) -> Built:
        """The records of `event`; `person` is what is known of its user, None if that could not be asked for."""
        named = self._accounts.named(event)
        account_id = None if named is None else named.account_id
        settled = self._settle(event, arrival)
        if event.type == "command":
            assert named is not None, "a command names its account"
            return Built(self._product(event, arrival, settled, named, None), self._erasures(event, arrival), None)
        user_id = event.user_id
        if user_id is None:
            if named is None:
                raise Rejected("account_missing", _ACCOUNT_MISSING)
            return Built(self._product(event, arrival, settled, named, None), (), None)
        before = NOBODY if person is None else person
        if named is not None and event.type in PRODUCT_ACTIVITY:
            accounts = before.accounts
            if not accounts or named.account_id in accounts:
                # Nearly every event is like this, and teaches nothing.
                return Built(self._product(event, arrival, settled, named, person), (), person)
        lesson = Lesson(event.type, account_id, settled.role, settled.email, settled.occurred_at)
        after = taught(before, lesson)
        # Who could not be asked for may be in another account: what this event says is not all there is to know.
        known = None if person is None else after
        if named is None:
            if after.ambiguous:
                raise Rejected("account_ambiguous", _ACCOUNT_AMBIGUOUS)
            if after.account is None:
                return Built(None, (self._unresolved(event, arrival, settled, None),), known)
            named = Named(after.account, BY_USER)
        product = self._product(event, arrival, settled, named, after)
        if after is before and event.type != "group" and not (person is None and event.type == "identify"):
            return Built(product, (), person)
        return Built(product, (self._unresolved(event, arrival, settled, named.account_id),), known)

    def _settle(self, event: IncomingEvent, arrival: Arrival) -> _Settled:
        original_at = None if event.timestamp is None else moment(event.timestamp, "timestamp")
        sent_at = None if event.sent_at is None else readable_moment(event.sent_at)
        occurred_at, flags = occurrence(original_at, sent_at, arrival.received_at, self._historical_age)
        message_id = event.message_id
        if message_id is None:
            message_id = new_message_id() if original_at is None else message_id_of(event.body)
            flags = (*flags, "no_message_id")
        role = None if event.role is None else role_of(event.role)
        email = None if event.email is None else email_of(event.email)
        return _Settled(message_id, occurred_at, original_at, sent_at, role, email, flags)

    def _product(
        self, event: IncomingEvent, arrival: Arrival, settled: _Settled, named: Named, person: Person | None
    ) -> Record:
        role, email = settled.role, settled.email
        if person is not None:
            role = person.role if role is None else role
            email = person.email if email is None else email
        # By place, in the order of the fields: seventeen keywords cost half a microsecond.
        record = ProductEvent(
            VERSION,
            arrival.source,
            settled.message_id,
            event.type,
            named.account_id,
            arrival.received_at,
            settled.occurred_at,
            msgspec.Raw(event.body),
            event.event,
            event.user_id,
            settled.original_at,
            settled.sent_at,
            role,
            self._staff.covers(event.user_id, email),
            settled.flags,
            arrival.traceparent,
            named.by,
        )
        key, partition = self._place(named.account_id)
        value = encode(record)
        if len(value) > RECORD_BYTES_MAX:
            raise _too_large(value)
        return Record(partition, key, value)

    def _unresolved(self, event: IncomingEvent, arrival: Arrival, settled: _Settled, account_id: str | None) -> Record:
        """The event itself, or with `account_id` what it teaches, without its body."""
        assert event.user_id is not None
        record = UnresolvedEvent(
            v=VERSION,
            source=arrival.source,
            message_id=settled.message_id,
            type=event.type,
            received_at=arrival.received_at,
            occurred_at=settled.occurred_at,
            body=msgspec.Raw(event.body) if account_id is None else _NO_BODY,
            account_id=account_id,
            event=event.event,
            user_id=event.user_id,
            original_at=settled.original_at,
            sent_at=settled.sent_at,
            role=settled.role,
            email=settled.email,
            staff=self._staff.covers(event.user_id, settled.email),
            flags=settled.flags,
            traceparent=arrival.traceparent,
        )
        key, partition = self._place(event.user_id)
        value = encode(record)
        if len(value) > RECORD_BYTES_MAX:
            raise _too_large(value)
        return Record(partition, key, value)

    def _erasures(self, event: IncomingEvent, arrival: Arrival) -> tuple[Record, ...]:
        """An erased account may have people on every partition of the directory, an erased person is on one."""
        if event.event not in ("erase", "erase_person") or event.document is None:
            return ()
        named, user_id = self._accounts.named(event), event.document.get("user_id")
        record = UnresolvedEvent(
            v=VERSION,
            source=arrival.source,
            message_id=event.message_id or new_message_id(),
            type="command",
            received_at=arrival.received_at,
            occurred_at=arrival.received_at,
            body=_NO_BODY,
            account_id=None if named is None else named.account_id,
            event=event.event,
            user_id=user_id,
        )
        value = encode(record)
        if user_id is not None:
            key, partition = self._place(user_id)
            return (Record(partition, key, value),)
        return tuple(Record(partition, b"", value) for partition in range(self._partitions))


def _too_large(value: bytes) -> Rejected:
    """It was within its limit as it came; where something of it is written anew, numbers may become longer."""
    message = f"Send less in one event: as it is stored it has {len(value)} bytes, more than {RECORD_BYTES_MAX}."
    return Rejected("event_too_large", message)


def dead_letter_headers(rejected: Rejected, arrival: Arrival) -> list[tuple[str, bytes]]:
    """Why and whence, on the record of an event that was rejected."""
    facts: dict[str, str] = {
        "reason": rejected.code,
        "message": rejected.message,
        "source": arrival.source,
        "route": arrival.route,
        "received_at": arrival.received_at.isoformat(),
    }
    return [(name, value.encode()) for name, value in facts.items()]
