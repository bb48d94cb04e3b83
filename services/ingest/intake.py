"""From a request's body to a confirmed answer: authenticate, take apart, build records, publish, wait."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
import structlog
from starlette.types import Receive

from schemas.positions import encode_position
from services.ingest.bodies import plain_body, read_body, too_large
from services.ingest.credentials import authenticate, key_of_request, same_key
from services.ingest.delivery import BrokerUnavailable, Delivery
from services.ingest.dialects.by_form import UNPACK
from services.ingest.dialects.unpacked import Request, Unpacked
from services.ingest.directory.known_people import KnownPeople
from services.ingest.events import Rejection
from services.ingest.inflight import Hold, Overloaded
from services.ingest.metrics import IngestMetrics
from services.ingest.origins import check_key_in_address, check_origin, origin_of
from services.ingest.processing import EventProcessor, Processed
from services.ingest.publisher import Publisher
from services.ingest.records import Arrival
from services.ingest.routes import Form, Route
from services.ingest.sources import OwnLimits, Source, Sources
from services.ingest.ticker import Ticker
from services.ingest.times import readable_moment
from services.runtime.access import Principal, Scope
from services.runtime.crash_points import crash_point
from services.runtime.key_ring import KeyRing

log = structlog.get_logger(__name__)

_TRACEPARENT_CHARACTERS = 55


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one request."""

    body_bytes_max: int
    # The most that a key may have as its own limit in place of that.
    key_body_bytes_max: int
    event_bytes_max: int
    events_max: int


class Outcome(msgspec.Struct):
    """What is told to the client: `position` for commands only."""

    accepted: int
    errors: list[Rejection]
    position: str | None


class _Call(msgspec.Struct):
    route: Route
    headers: Mapping[bytes, bytes]
    received_at: datetime
    receive: Receive
    hold: Hold


class _Read(msgspec.Struct):
    """A request whose sender is known, with its body taken apart."""

    principal: Principal
    source: Source
    body_bytes: int
    unpacked: Unpacked


class Intake:
    """Takes requests of the hot routes; raises what the collector answers as an error."""

    def __init__(
        self,
        *,
        ring: KeyRing,
        publisher: Publisher,
        processor: EventProcessor,
        people: KnownPeople,
        ticker: Ticker,
        metrics: IngestMetrics,
        limits: Limits,
        sources: Sources,
        group_types: tuple[str, ...],
        events_topic: str,
    ) -> None:
        self._ring = ring
        self._publisher = publisher
        self._processor = processor
        self._people = people
        self._ticker = ticker
        self._metrics = metrics
        self._limits = limits
        self._sources = sources
        self._group_types = group_types
        self._events_topic = events_topic

    async def take(
        self, route: Route, headers: Mapping[bytes, bytes], query: bytes, receive: Receive, hold: Hold
    ) -> Outcome:
        """Everything that one request asks for; returns when Kafka has confirmed it.

        Raises Problem, ClientGone, Overloaded and BrokerUnavailable.
        """
        call = _Call(route, headers, datetime.now(UTC), receive, hold)
        found_key = key_of_request(headers, query)
        if found_key.key is None and route.form is not Form.COMMANDS:
            read = await self._read_of_unknown(call)
        else:
            read = await self._read_of_known(call, found_key.key)
        principal, source, unpacked = read.principal, read.source, read.unpacked
        check_origin(principal, origin_of(headers))
        if found_key.in_address:
            check_key_in_address(principal)
        if route.form is Form.COMMANDS:
            log.info("change_asked", method="POST", route=route.path, key=principal.key_id)
        self._observe_skew(unpacked.sent_at, call.received_at)
        # First, so that what is not taken in costs nothing.
        hold.grow(unpacked.copied_bytes)
        events, body_bytes = len(unpacked.items), read.body_bytes
        source.spend(time.monotonic(), events=events, body_bytes=body_bytes)
        arrival = _arrival(principal, call)
        redactor = None if route.form is Form.COMMANDS else source.redactor
        processed = await self._processor.process(unpacked, arrival, redactor)
        try:
            position = await self._publish(processed, call.received_at, wants_position=route.form is Form.COMMANDS)
        except (BrokerUnavailable, Overloaded):
            source.give_back(events=events, body_bytes=body_bytes)
            raise
        return Outcome(processed.resolved + processed.unresolved, processed.errors, position)

    async def _read_of_known(self, call: _Call, key: str | None) -> _Read:
        """A request that names its key before its body, which may be as large as the key's own limit."""
        principal = await authenticate(self._ring, key, call.route.scope)
        limits = self._limits_of(self._admit(principal))
        # Everybody can see the key of a browser.
        body = await self._body(call, limits.body_bytes_max, is_trusted=not principal.origins)
        # The body may have taken its time, in which the key was revoked or its rules were changed.
        principal = await authenticate(self._ring, key, call.route.scope)
        unpacked = self._unpack(call, body, principal, limits)
        same_key(key, unpacked.key)
        return _Read(principal, self._sources.of(principal), len(body) + unpacked.copied_bytes, unpacked)

    async def _read_of_unknown(self, call: _Call) -> _Read:
        """A request whose key is in its body, if anywhere: the key's own limits can only be lower by then."""
        body = await self._body(call, self._limits.body_bytes_max, is_trusted=False)
        unpacked = self._unpack(call, body, None, self._limits)
        principal = await authenticate(self._ring, unpacked.key, call.route.scope)
        source = self._admit(principal)
        limits = self._limits_of(source)
        if limits is not self._limits:
            if len(body) > limits.body_bytes_max:
                raise too_large(limits.body_bytes_max)
            unpacked = self._unpack(call, body, principal, limits)
        return _Read(principal, source, len(body) + unpacked.copied_bytes, unpacked)

    def _admit(self, principal: Principal) -> Source:
        source = self._sources.of(principal)
        source.admit(time.monotonic())
        return source

    def _limits_of(self, source: Source) -> Limits:
        own = source.rules.limits
        if own == OwnLimits():
            return self._limits
        given = {name: getattr(own, name) for name in own.__struct_fields__ if getattr(own, name) is not None}
        limits = replace(self._limits, **given)
        return replace(limits, body_bytes_max=min(limits.body_bytes_max, limits.key_body_bytes_max))

    def _unpack(self, call: _Call, body: bytes, principal: Principal | None, limits: Limits) -> Unpacked:
        # A key in the body is not known yet; nothing that it would have to be asked for can come with it.
        may = _nothing if principal is None else principal.may
        route, sizes = call.route, (limits.events_max, limits.event_bytes_max, limits.body_bytes_max)
        request = Request(route.type, call.headers, call.received_at, may, *sizes, self._group_types)
        return UNPACK[route.form](body, request)

    async def _body(self, call: _Call, bytes_max: int, *, is_trusted: bool) -> bytes:
        declared = call.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > bytes_max:
            raise too_large(bytes_max)
        sent = await read_body(call.receive, bytes_max=bytes_max, hold=call.hold, is_trusted=is_trusted)
        self._metrics.request_size.observe(len(sent))
        encoding = call.headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        body = plain_body(sent, encoding, bytes_max=bytes_max)
        if len(body) > len(sent):
            call.hold.grow(len(body) - len(sent))
        call.hold.enter()
        return body

    def _observe_skew(self, sent_at: str | float | None, received_at: datetime) -> None:
        sent = None if sent_at is None else readable_moment(sent_at)
        if sent is not None:
            self._metrics.client_clock_skew.observe((sent - received_at).total_seconds())

    async def _publish(self, processed: Processed, received_at: datetime, *, wants_position: bool) -> str | None:
        """Returns when all is confirmed: what was accepted and, as dead letters, what was not."""
        began = time.perf_counter()
        try:
            crash_point("ingest.before_produce")
            delivery = self._publisher.put(processed.records)
            await delivery.wait()
            crash_point("ingest.acked_unanswered")
        except BrokerUnavailable:
            self._metrics.unacknowledged.inc(processed.resolved + processed.unresolved)
            raise
        finally:
            self._metrics.publish_duration.observe(time.perf_counter() - began)
        self._metrics.accepted.inc(processed.resolved)
        if processed.unresolved:
            self._metrics.unresolved.inc(processed.unresolved)
        for error in processed.errors:
            self._metrics.count_rejected(error.code)
        if processed.has_activity:
            self._ticker.saw_event(received_at)
        if processed.people_after:
            self._people.learned(processed.people_before, processed.people_after)
        return self._position(delivery) if wants_position and processed.resolved else None

    def _position(self, delivery: Delivery) -> str:
        offsets = {
            partition: offset
            for (topic, partition), offset in delivery.next_offsets.items()
            if topic == self._events_topic
        }
        if min(offsets.values()) < 0:
            raise BrokerUnavailable("the broker confirmed a repeat and did not say where it is")
        return encode_position(offsets)


def _nothing(_: Scope) -> bool:
    return False


def _arrival(principal: Principal, call: _Call) -> Arrival:
    traceparent = call.headers.get(b"traceparent", b"")
    sound = len(traceparent) == _TRACEPARENT_CHARACTERS and traceparent.isascii()
    return Arrival(principal.key_id, call.route.path, call.received_at, traceparent.decode() if sound else None)
