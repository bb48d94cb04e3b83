"""Events to records: who, when and where are settled here, and the envelope is put around the client's own object."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from schemas.product_event import VERSION, ProductEvent, encode
from services.ingest.accounts import AccountRules
from services.ingest.events import IncomingEvent, Rejected
from services.ingest.message_ids import message_id_of, new_message_id
from services.ingest.people import StaffRule, role_of
from services.ingest.times import moment, occurrence, readable_moment

# What a product does, as opposed to what somebody says about an account or a person.
PRODUCT_ACTIVITY = frozenset({"track", "page", "screen"})

ACCOUNT_MISSING = "Say whose event it is: context.groupId, properties.account_id, or the groupId of a group call."


class Origin(NamedTuple):
    """What all events of one request have in common."""

    source: str
    received_at: datetime
    traceparent: str | None


class Record(NamedTuple):
    """A record for the product-events topic."""

    partition: int
    key: bytes
    value: bytes


class RecordBuilder:
    """Turns an event into its record; raises Rejected for one that must not enter the log."""

    def __init__(
        self,
        *,
        place: Callable[[str], tuple[bytes, int]],
        staff: StaffRule,
        historical_age: timedelta,
        accounts: AccountRules,
    ) -> None:
        self._place = place
        self._accounts = accounts
        self._staff = staff
        self._historical_age = historical_age

    def build(self, event: IncomingEvent, origin: Origin) -> Record:
        """The record of `event`, keyed by its account."""
        account_id = self._accounts.named(event)
        if account_id is None:
            raise Rejected("account_missing", ACCOUNT_MISSING)
        original_at = None if event.timestamp is None else moment(event.timestamp, "timestamp")
        sent_at = None if event.sent_at is None else readable_moment(event.sent_at)
        occurred_at, flags = occurrence(original_at, sent_at, origin.received_at, self._historical_age)
        message_id = event.message_id
        if message_id is None:
            message_id = new_message_id() if original_at is None else message_id_of(event.body)
            flags = (*flags, "no_message_id")
        record = ProductEvent(
            v=VERSION,
            source=origin.source,
            message_id=message_id,
            type=event.type,
            account_id=account_id,
            received_at=origin.received_at,
            occurred_at=occurred_at,
            body=msgspec.Raw(event.body),
            event=event.event,
            user_id=event.user_id,
            original_at=original_at,
            sent_at=sent_at,
            role=role_of(event.role),
            staff=self._staff.covers(event.user_id, event.email),
            flags=flags,
            traceparent=origin.traceparent,
        )
        key, partition = self._place(account_id)
        return Record(partition, key, encode(record))


def dead_letter_headers(rejected: Rejected, *, origin: Origin, route: str) -> list[tuple[str, bytes]]:
    """Why and whence, on the record of an event that was rejected."""
    facts: dict[str, str] = {
        "reason": rejected.code,
        "message": rejected.message,
        "source": origin.source,
        "route": route,
        "received_at": origin.received_at.isoformat(),
    }
    return [(name, value.encode()) for name, value in facts.items()]
