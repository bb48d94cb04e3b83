"""From a request's body to a confirmed answer: authenticate, take apart, build records, publish, wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from typing import NamedTuple

from starlette.types import Receive

from schemas.positions import encode_position
from services.ingest.bodies import plain_body, read_body, too_large
from services.ingest.credentials import authenticate, key_of_request, same_key
from services.ingest.delivery import BrokerUnavailable, Delivery
from services.ingest.dialects.blanking import without_keys
from services.ingest.dialects.by_form import UNPACK
from services.ingest.dialects.unpacked import Request, Unpacked
from services.ingest.events import Rejected, Rejection
from services.ingest.inflight import Hold
from services.ingest.metrics import IngestMetrics
from services.ingest.origins import check_key_in_address, check_origin, origin_of
from services.ingest.publisher import RECORD_OVERHEAD_BYTES, Cargo, Entry, Publisher, entry_bytes
from services.ingest.records import PRODUCT_ACTIVITY, Origin, RecordBuilder, dead_letter_headers
from services.ingest.routes import Form, Route
from services.ingest.ticker import Ticker
from services.ingest.times import readable_moment
from services.runtime.access import Principal, Scope
from services.runtime.crash_points import crash_point
from services.runtime.key_ring import KeyRing

# The broker takes records of 1 MiB; what is longer is not an event that anybody could repair from its whole text.
_DEAD_LETTER_BYTES_MAX = 131_072
_TRACEPARENT_CHARACTERS = 55
# Reading this much takes 5 to 40 ms; then others have their turn.
_UNBROKEN_BYTES_MAX = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one request."""

    body_bytes_max: int
    event_bytes_max: int
    events_max: int
    ack_seconds: float
    # Not a limit of size, but of what counts: groups of other types are no accounts.
    group_types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Names on the broker, and the number of partitions that both have."""

    events: str
    dead: str
    partitions: int


class Outcome(NamedTuple):
    """What is told to the client: `position` for commands only."""

    accepted: int
    errors: list[Rejection]
    position: str | None


@dataclass(slots=True)
class _Sorted:
    """A request's events as records by partition, and those that were rejected."""

    entries: dict[int, list[Entry]] = field(default_factory=dict)
    sizes_bytes: dict[int, int] = field(default_factory=dict)
    errors: list[Rejection] = field(default_factory=list)
    dead: list[Entry] = field(default_factory=list)
    accepted: int = 0
    has_activity: bool = False


class Intake:
    """Takes requests of the hot routes; raises what the collector answers as an error."""

    def __init__(
        self,
        *,
        ring: KeyRing,
        publisher: Publisher,
        builder: RecordBuilder,
        ticker: Ticker,
        metrics: IngestMetrics,
        limits: Limits,
        topics: Topics,
    ) -> None:
        self._ring = ring
        self._publisher = publisher
        self._builder = builder
        self._ticker = ticker
        self._metrics = metrics
        self._limits = limits
        self._topics = topics
        self._dead_partitions = cycle(range(topics.partitions))

    async def take(
        self, route: Route, headers: Mapping[bytes, bytes], query: bytes, receive: Receive, hold: Hold
    ) -> Outcome:
        """Everything that one request asks for; returns when Kafka has confirmed it.

        Raises Problem, BodyInvalid, ClientGone, Overloaded and BrokerUnavailable.
        """
        received_at = datetime.now(UTC)
        key, in_address = key_of_request(headers, query)
        principal = None
        if key is not None or route.form is Form.COMMANDS:
            principal = await authenticate(self._ring, key, route.scope)
        body = await self._body(headers, receive, hold)
        hold.enter()
        request = self._request(route, headers, received_at, principal)
        unpacked = UNPACK[route.form](body, request)
        self._observe_skew(unpacked.sent_at, received_at)
        if unpacked.key is not None:
            key = same_key(key, unpacked.key)
        if principal is None:
            principal = await authenticate(self._ring, key, route.scope)
        check_origin(principal, origin_of(headers))
        if in_address:
            check_key_in_address(principal)
        origin = _origin(principal, received_at, headers)
        found = await self._sort(unpacked, origin, route)
        position = await self._publish(found, received_at, wants_position=route.form is Form.COMMANDS)
        return Outcome(found.accepted, found.errors, position)

    def _request(
        self, route: Route, headers: Mapping[bytes, bytes], received_at: datetime, principal: Principal | None
    ) -> Request:
        limits = self._limits
        # A key in the body is not known yet; nothing that it would have to be asked for can come with it.
        may = _nothing if principal is None else principal.may
        return Request(
            route.type, headers, received_at, may, limits.events_max, limits.event_bytes_max, limits.group_types
        )

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive, hold: Hold) -> bytes:
        bytes_max = self._limits.body_bytes_max
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > bytes_max:
            raise too_large(bytes_max)
        sent = await read_body(receive, bytes_max=bytes_max, hold=hold)
        self._metrics.request_size.observe(len(sent))
        encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        body = plain_body(sent, encoding, bytes_max=bytes_max)
        if len(body) > len(sent):
            hold.grow(len(body) - len(sent))
        return body

    def _observe_skew(self, sent_at: str | float | None, received_at: datetime) -> None:
        sent = None if sent_at is None else readable_moment(sent_at)
        if sent is not None:
            self._metrics.client_clock_skew.observe((sent - received_at).total_seconds())

    async def _sort(self, unpacked: Unpacked, origin: Origin, route: Route) -> _Sorted:
        found, read = _Sorted(), unpacked.read
        entries, sizes_bytes, build = found.entries, found.sizes_bytes, self._builder.build
        unbroken_bytes = 0
        for index, item in enumerate(unpacked.items):
            unbroken_bytes += len(bytes(item))
            if unbroken_bytes > _UNBROKEN_BYTES_MAX:
                unbroken_bytes = 0
                await asyncio.sleep(0)
            event = None
            try:
                event = read(item)
                partition, key, value = build(event, origin)
            except Rejected as rejected:
                message_id = rejected.message_id if event is None else event.message_id
                found.errors.append(Rejection(index, message_id, rejected.code, rejected.message))
                found.dead.append(_dead_letter(bytes(item), rejected, origin, route))
                continue
            if partition in entries:
                entries[partition].append(Entry(key, value))
                sizes_bytes[partition] += RECORD_OVERHEAD_BYTES + len(key) + len(value)
            else:
                entries[partition] = [Entry(key, value)]
                sizes_bytes[partition] = RECORD_OVERHEAD_BYTES + len(key) + len(value)
            found.accepted += 1
            found.has_activity = found.has_activity or event.type in PRODUCT_ACTIVITY
        return found

    async def _publish(self, found: _Sorted, received_at: datetime, *, wants_position: bool) -> str | None:
        """Returns when all is confirmed: what was accepted and, as dead letters, what was not."""
        topics = self._topics
        cargo = [
            Cargo(topics.events, partition, entries, found.sizes_bytes[partition])
            for partition, entries in found.entries.items()
        ]
        cargo += (Cargo(topics.dead, next(self._dead_partitions), [entry], entry_bytes(entry)) for entry in found.dead)
        delivery = Delivery()
        try:
            with self._metrics.publish_duration.time():
                crash_point("ingest.before_produce")
                self._publisher.put(cargo, delivery)
                await delivery.wait(self._limits.ack_seconds)
                crash_point("ingest.acked_unanswered")
        except BrokerUnavailable:
            self._metrics.unacknowledged.inc(found.accepted)
            raise
        self._metrics.accepted.inc(found.accepted)
        for error in found.errors:
            self._metrics.count_rejected(error.code)
        if found.has_activity:
            self._ticker.saw_event(received_at)
        return self._position(delivery) if wants_position and found.accepted else None

    def _position(self, delivery: Delivery) -> str:
        offsets = {
            partition: offset
            for (topic, partition), offset in delivery.next_offsets.items()
            if topic == self._topics.events
        }
        if min(offsets.values()) < 0:
            raise BrokerUnavailable("the broker confirmed a repeat and did not say where it is")
        return encode_position(offsets)


def _nothing(_: Scope) -> bool:
    return False


def _origin(principal: Principal, received_at: datetime, headers: Mapping[bytes, bytes]) -> Origin:
    traceparent = headers.get(b"traceparent")
    if traceparent is None or len(traceparent) != _TRACEPARENT_CHARACTERS or not traceparent.isascii():
        return Origin(principal.key_id, received_at, None)
    return Origin(principal.key_id, received_at, traceparent.decode())


def _dead_letter(raw: bytes, rejected: Rejected, origin: Origin, route: Route) -> Entry:
    headers = dead_letter_headers(rejected, origin=origin, route=route.path)
    return Entry(None, without_keys(raw[:_DEAD_LETTER_BYTES_MAX]), headers)
