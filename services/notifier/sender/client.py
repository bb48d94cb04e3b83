"""One attempt: at most one deadline long, whatever the other side does, with bounded memory."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from itertools import pairwise

import aiohttp
import structlog
import yarl

from services.notifier.domain.addresses import AddressRules
from services.notifier.domain.outcome import NO_PHASES, Answer, Phases, Result, parse_retry_after, result_of
from services.notifier.metrics import NotifierMetrics
from services.notifier.sender.connector import AddressBlocked, MarkedRequest, VettingConnector, Wire, vet, wire_in_use
from services.notifier.sender.failures import clear_frames, describe, result_of_failure
from services.notifier.sender.request import Recipient, request_headers
from services.notifier.sender.resolver import Resolver
from services.notifier.store.queue import Claimed

log = structlog.get_logger(__name__)

RESPONSE_BYTES_READ_MAX = 16_384
RESPONSE_BYTES_STORED_MAX = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt as it went; `revision` is that of the endpoint's terms that it was made on, `started_at` is
    monotonic, `response` the first bytes of the body, `slots_seconds` the endpoint's own retry schedule."""

    delivery: Claimed
    revision: int
    answer: Answer
    started_at: float
    duration_seconds: float
    status_code: int | None = None
    response: bytes | None = None
    error: str | None = None
    phases: Phases = NO_PHASES
    slots_seconds: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLimits:
    """Time limits of connections, in seconds; that of a whole attempt is the endpoint's own."""

    connect_seconds: float
    connection_age_seconds_max: float


@dataclass(frozen=True, slots=True)
class _Reply:
    status_code: int
    retry_after: str | None
    date: str | None
    body: bytes


def new_tls_context(ca_file: str = "") -> ssl.SSLContext:
    """TLS 1.2 or newer, verified against the system's authorities and those in `ca_file`. Reads files."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


class Sender:
    """Makes attempts; build it inside the running loop and close it."""

    def __init__(
        self,
        *,
        rules: AddressRules,
        resolver: Resolver,
        tls: ssl.SSLContext,
        limits: SenderLimits,
        metrics: NotifierMetrics,
    ) -> None:
        self._rules = rules
        self._resolver = resolver
        self._metrics = metrics
        self._session = aiohttp.ClientSession(
            connector=VettingConnector(
                rules=rules, resolver=resolver, tls=tls, age_seconds_max=limits.connection_age_seconds_max
            ),
            request_class=MarkedRequest,
            # The whole attempt has one deadline, kept outside the client, which covers the body as well.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Accept",),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._resolver.close()

    async def attempt(self, delivery: Claimed, recipient: Recipient) -> Attempt:
        """Send once and report how it went; only cancellation is raised."""
        wire = Wire(needs_opening=recipient.target.needs_opening)
        wire_in_use.set(wire)
        started_at = time.monotonic()
        try:
            async with asyncio.timeout(recipient.timeout_seconds):
                await self._vet_all(recipient)
                wire.resolved_at = time.monotonic()
                reply = await self._exchange(delivery, recipient, wire)
        except Exception as error:  # noqa: BLE001 - every failure is a result, our own included
            return self._failed(delivery, recipient, error, wire, started_at)
        finally:
            self._count_connection(wire)
        duration_seconds = time.monotonic() - started_at
        self._observe_phases(wire, started_at, duration_seconds)
        return Attempt(
            delivery=delivery,
            revision=recipient.revision,
            answer=Answer(
                result=result_of(reply.status_code),
                status_code=reply.status_code,
                retry_after_seconds=parse_retry_after(reply.retry_after, date=reply.date, now_seconds=time.time()),
            ),
            started_at=started_at,
            duration_seconds=duration_seconds,
            status_code=reply.status_code,
            response=None if wire.private else reply.body[:RESPONSE_BYTES_STORED_MAX],
            phases=_phases(wire, started_at),
            slots_seconds=recipient.slots_seconds,
        )

    async def _vet_all(self, recipient: Recipient) -> None:
        """Refuse when any address of the host is forbidden, also if another one would be used."""
        target = recipient.target
        addresses = [target.literal] if target.literal else await self._resolver.addresses(target.host)
        for address in addresses:
            vet(address, self._rules, needs_opening=target.needs_opening)

    async def _exchange(self, delivery: Claimed, recipient: Recipient, wire: Wire) -> _Reply:
        try:
            return await self._post(delivery, recipient)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # The peer closed an idle connection as we used it: it has answered nothing, so nothing was charged.
            if not wire.reused or wire.protocol is None or wire.protocol.answering:
                raise
            wire.fresh = True
            return await self._post(delivery, recipient)

    async def _post(self, delivery: Claimed, recipient: Recipient) -> _Reply:
        headers = request_headers(delivery, recipient, now_seconds=time.time())
        url = yarl.URL(recipient.target.url, encoded=True)
        response = await self._session.post(url, data=delivery.body, headers=headers, allow_redirects=False)
        wire_in_use.get().answered_at = time.monotonic()
        try:
            body = await _read_bounded(response.content)
            told = response.headers
            return _Reply(response.status, told.get("retry-after"), told.get("date"), body)
        finally:
            # A connection with more to read is closed, not drained.
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    def _failed(
        self, delivery: Claimed, recipient: Recipient, error: Exception, wire: Wire, started_at: float
    ) -> Attempt:
        result = result_of_failure(error, connected=wire.connected_at is not None)
        blocked = error if isinstance(error, AddressBlocked) else getattr(error, "os_error", None)
        if isinstance(blocked, AddressBlocked):
            self._metrics.blocked_addresses.labels(blocked.tier.value).inc()
        if result is Result.INTERNAL:
            log.error("attempt_failed_internally", delivery=delivery.id, error=type(error).__name__, exc_info=error)
        told = describe(error, result, private=wire.private)
        clear_frames(error)
        duration_seconds = time.monotonic() - started_at
        self._observe_phases(wire, started_at, duration_seconds)
        return Attempt(
            delivery=delivery,
            revision=recipient.revision,
            answer=Answer(result=result),
            started_at=started_at,
            duration_seconds=duration_seconds,
            error=told,
            phases=_phases(wire, started_at),
            slots_seconds=recipient.slots_seconds,
        )

    def _count_connection(self, wire: Wire) -> None:
        if wire.connected_at is not None:
            self._metrics.connections.labels("true" if wire.reused else "false").inc()

    def _observe_phases(self, wire: Wire, started_at: float, duration_seconds: float) -> None:
        connect_seconds = (wire.connected_at or started_at + duration_seconds) - started_at
        self._metrics.attempt_duration_seconds.labels("connect").observe(connect_seconds)
        self._metrics.attempt_duration_seconds.labels("total").observe(duration_seconds)


def _phases(wire: Wire, started_at: float) -> Phases:
    """How long each phase took that came to its end."""
    moments = (started_at, wire.resolved_at, wire.connected_at, wire.answered_at)
    lasted = [None if begin is None or end is None else round(1000 * (end - begin)) for begin, end in pairwise(moments)]
    return Phases(resolve_ms=lasted[0], connect_ms=lasted[1], wait_ms=lasted[2])


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    parts: list[bytes] = []
    room = RESPONSE_BYTES_READ_MAX
    while room > 0 and (part := await content.read(room)):
        parts.append(part)
        room -= len(part)
    return b"".join(parts)
