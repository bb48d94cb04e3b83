"""A request's events, read and turned into records by topic and partition; what is rejected becomes a dead letter."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import cycle

from services.ingest.blanking import without_keys
from services.ingest.client_addresses import ClientAddresses
from services.ingest.delivery import Record
from services.ingest.dialects.unpacked import Unpacked, check_size
from services.ingest.directory.known_people import KnownPeople
from services.ingest.directory.person import Person
from services.ingest.events import IncomingEvent, Rejected, Rejection
from services.ingest.records import PRODUCT_ACTIVITY, Arrival, RecordBuilder, dead_letter_headers
from services.ingest.redaction import Redactor

# The broker takes records of 1 MiB; what is longer is not an event that anybody could repair from its whole text.
DEAD_LETTER_BYTES_MAX = 131_072
# Reading this much takes 5 to 40 ms; then others have their turn.
_UNBROKEN_BYTES_MAX = 262_144
_WITHHELD = b"null"

# Its place in the request, its unparsed bytes, and what they say.
_Read = tuple[int, bytes, IncomingEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Names on the broker, and the number of partitions that all of them have."""

    events: str
    unresolved: str
    dead: str
    partitions: int


@dataclass(slots=True)
class Processed:
    """What one request becomes: `resolved` events have an account, `unresolved` ones wait for theirs."""

    records: dict[str, list[Record]]  # By topic.
    errors: list[Rejection] = field(default_factory=list)
    resolved: int = 0
    unresolved: int = 0
    has_activity: bool = False
    people_before: dict[str, Person] = field(default_factory=dict)
    people_after: dict[str, Person] = field(default_factory=dict)


class EventProcessor:
    """Reads all events of a request, has their people known, and builds the records in the order of the request."""

    def __init__(
        self, *, builder: RecordBuilder, people: KnownPeople, addresses: ClientAddresses, topics: Topics
    ) -> None:
        self._builder = builder
        self._addresses = addresses
        self._people = people
        self._topics = topics
        self._dead_partitions = cycle(range(topics.partitions))

    async def process(self, unpacked: Unpacked, arrival: Arrival, redactor: Redactor | None = None) -> Processed:
        """One bad event costs nothing but itself."""
        processed = Processed({self._topics.events: [], self._topics.unresolved: [], self._topics.dead: []})
        good = await self._read_all(unpacked, arrival, redactor, processed)
        users = {event.user_id for _, _, event in good if event.user_id is not None}
        processed.people_before = await self._people.find(users) if users else {}
        await self._build_all(good, arrival, processed)
        processed.errors.sort(key=lambda error: error.index)
        return processed

    async def _read_all(
        self, unpacked: Unpacked, arrival: Arrival, redactor: Redactor | None, processed: Processed
    ) -> list[_Read]:
        good: list[_Read] = []
        unbroken_bytes = 0
        read, truncate = unpacked.read, self._addresses.truncate
        for index, given in enumerate(unpacked.items):
            item = bytes(given)
            unbroken_bytes += len(item)
            if unbroken_bytes > _UNBROKEN_BYTES_MAX:
                unbroken_bytes = 0
                await asyncio.sleep(0)
            try:
                if redactor is None:
                    event = read(item)
                else:
                    # Nothing of an event that cannot be redacted is kept.
                    raw, item = item, _WITHHELD
                    check_size(raw, bytes_max=unpacked.bytes_max)
                    item = redactor.raw(raw, unpacked.data_in)
                    event = read(item)
                    redactor.event(event, unpacked.key)
                truncate(event, unpacked.key)
                # Longer than it came, where its batch has a context.
                unbroken_bytes += len(event.body)
                good.append((index, item, event))
            except Rejected as rejected:
                self._reject(index, item, rejected, arrival, processed)
        return good

    async def _build_all(self, good: list[_Read], arrival: Arrival, processed: Processed) -> None:
        product, unresolved = processed.records[self._topics.events], processed.records[self._topics.unresolved]
        build, before, after = self._builder.build, processed.people_before, processed.people_after
        unbroken_bytes = 0
        for index, item, event in good:
            unbroken_bytes += len(event.body)
            if unbroken_bytes > _UNBROKEN_BYTES_MAX:
                unbroken_bytes = 0
                await asyncio.sleep(0)
            user_id = event.user_id
            person = None if user_id is None else after.get(user_id) or before.get(user_id)
            try:
                built = build(event, arrival, person)
            except Rejected as rejected:
                rejected.message_id = event.message_id
                self._reject(index, item, rejected, arrival, processed)
                continue
            if user_id is not None and built.person is not None and built.person is not person:
                after[user_id] = built.person
            if built.product is None:
                processed.unresolved += 1
            else:
                processed.resolved += 1
                product.append(built.product)
            unresolved += built.unresolved
            processed.has_activity = processed.has_activity or event.type in PRODUCT_ACTIVITY

    def _reject(self, index: int, item: bytes, rejected: Rejected, arrival: Arrival, processed: Processed) -> None:
        processed.errors.append(Rejection(index, rejected.message_id, rejected.code, rejected.message))
        headers = dead_letter_headers(rejected, arrival)
        # Written anew, numbers may have become longer.
        text = without_keys(self._addresses.blank(item[:DEAD_LETTER_BYTES_MAX])[:DEAD_LETTER_BYTES_MAX])
        processed.records[self._topics.dead].append(Record(next(self._dead_partitions), None, text, headers))
