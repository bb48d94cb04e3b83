"""Receivers that misbehave in every known way: the right result, one deadline for everything, flat memory."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address

import psutil
import pytest
from prometheus_client import CollectorRegistry

from services.notifier.domain.addresses import AddressRules
from services.notifier.domain.outcome import GATE_SECONDS_MAX
from services.notifier.metrics import NotifierMetrics
from services.notifier.sender.client import RESPONSE_BYTES_STORED_MAX, Attempt, Sender, SenderLimits, new_tls_context
from services.notifier.sender.resolver import Resolver
from tests.fakes.receiver import Behaviour, Received, Receiver, answer, drip, endless, raw, repeating, reset, silent
from tests.integration.test_notifier_sender import DELIVERY, a_recipient
from tests.waiting import until

TIMEOUT_SECONDS = 1.0
# What an attempt may take beyond its deadline on a machine that is busy, or until it finds out what is wrong.
LATE_SECONDS_MAX = 10.0
METADATA = "location: http://169.254.169.254/latest/meta-data\r\n"
BOMB = gzip.compress(bytes(64 * 1024 * 1024))
TEN_YEARS = format_datetime(datetime.now(UTC) + timedelta(days=3650), usegmt=True)


@asynccontextmanager
async def a_sender() -> AsyncIterator[Sender]:
    """One that may reach 127.0.0.1."""
    made = Sender(
        rules=AddressRules(frozenset({ip_address("127.0.0.1")})),
        resolver=Resolver(timeout_seconds=2),
        tls=new_tls_context(),
        limits=SenderLimits(connect_seconds=5, connection_age_seconds_max=60),
        metrics=NotifierMetrics(CollectorRegistry()),
    )
    yield made
    await made.close()


async def attempt_at(sender: Sender, url: str, *, timeout_seconds: float = 30.0) -> Attempt:
    """One attempt, with a deadline that no busy machine reaches unless a shorter one is given."""
    return await sender.attempt(DELIVERY, a_recipient(url, timeout_seconds=timeout_seconds))


@pytest.mark.parametrize(
    ("behaviour", "result"),
    [
        (silent, "timeout"),
        (drip, "timeout"),
        (repeating(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), "protocol"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000 + b"\r\n"), "protocol"),
        (repeating(b"HTTP/1.1 200 OK\r\nx-a: ", b"b" * 4096), "protocol"),
        (endless, "http_2xx"),
        (answer(200, BOMB, headers="content-encoding: gzip\r\n"), "http_2xx"),
        (reset, "reset"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf"), "reset"),
        (raw(b"HTTP/1.1 banana\r\n\r\n"), "protocol"),
        (raw(b"HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n"), "protocol"),
        (raw(b"\x00\x16\x03\x01nonsense\r\n\r\n"), "protocol"),
        (raw(b""), "reset"),
        (repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "protocol"),
        *((answer(status, headers=METADATA), "http_3xx") for status in (301, 302, 303, 307, 308)),
    ],
    ids=[
        *("silent", "drip", "endless-headers", "many-headers", "endless-header", "endless-body", "bomb", "reset"),
        *("cut", "malformed", "status-999", "not-http", "closed", "flood-of-100", "301", "302", "303", "307", "308"),
    ],
)
async def test_result_and_deadline(behaviour: Behaviour, result: str) -> None:
    """What happened has its name, within the deadline; nothing is followed, no more is kept than allowed."""
    async with Receiver(behaviour=behaviour) as receiver, a_sender() as sender:
        began = time.monotonic()
        allowed = TIMEOUT_SECONDS if result == "timeout" else 30.0
        attempt = await attempt_at(sender, receiver.url(), timeout_seconds=allowed)
        assert attempt.answer.result == result, attempt.error
        assert time.monotonic() - began < TIMEOUT_SECONDS + LATE_SECONDS_MAX
        assert len(attempt.response or b"") <= RESPONSE_BYTES_STORED_MAX
        assert len(attempt.error or "") <= 300
        assert len(receiver.received) == 1


async def test_half_an_answer_on_a_kept_connection_is_one() -> None:
    """Only who has said nothing at all is asked once more: whoever began to answer has read the request."""
    async with Receiver(script=[answer(200), raw(b"HTTP/1.1 200 O")]) as receiver, a_sender() as sender:
        results = [(await attempt_at(sender, receiver.url())).answer.result for _ in range(2)]
        assert (results, [each.connection for each in receiver.received]) == (["http_2xx", "reset"], [1, 1])


@pytest.mark.parametrize(
    "unasked", [b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
async def test_what_nobody_asked_for_ends_a_kept_connection(unasked: bytes) -> None:
    """It is no answer to the next request, and however much of it comes, none is kept."""
    writers: list[asyncio.StreamWriter] = []

    async def keep(request: Received, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await answer(200)(request, writer)

    async def ended() -> bool:
        return writers[0].is_closing()

    async with Receiver(behaviour=keep) as receiver, a_sender() as sender:
        results = [(await attempt_at(sender, receiver.url())).answer.result]
        writers[0].write(unasked)
        await until(ended, what="the end of the connection", timeout_seconds=10)
        results.append((await attempt_at(sender, receiver.url())).answer.result)
        assert (results, [each.connection for each in receiver.received]) == (["http_2xx"] * 2, [1, 2])


async def test_reset_before_the_request_was_read() -> None:
    """A peer that hangs up as soon as it is connected to."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, a_sender() as sender:
        attempt = await attempt_at(sender, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert attempt.answer.result == "reset", attempt.error


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("7", 7.0), ("315360000", GATE_SECONDS_MAX), (TEN_YEARS, GATE_SECONDS_MAX), ("soon\x01", None)],
    ids=["zero", "seven", "ten-years", "date-in-ten-years", "garbage"],
)
async def test_retry_after_as_it_comes(text: str, seconds: float | None) -> None:
    """At most a day, whatever is asked; what cannot be read is as if it were not there."""
    async with Receiver(behaviour=answer(429, headers=f"retry-after: {text}\r\n")) as receiver, a_sender() as sender:
        attempt = await attempt_at(sender, receiver.url())
        assert attempt.answer.result in ("http_429", "protocol")
        assert attempt.answer.retry_after_seconds == seconds


async def test_retry_after_of_a_receiver_whose_clock_is_wrong() -> None:
    """Its dates are compared with each other."""
    behind = datetime.now(UTC) - timedelta(days=10)
    date, until = (format_datetime(behind + timedelta(minutes=minutes), usegmt=True) for minutes in (0, 5))
    asked = answer(503, headers=f"date: {date}\r\nretry-after: {until}\r\n")
    async with Receiver(behaviour=asked) as receiver, a_sender() as sender:
        assert (await attempt_at(sender, receiver.url())).answer.retry_after_seconds == 300


@pytest.mark.parametrize(
    "behaviour",
    [
        endless,
        answer(200, BOMB * 16, headers="content-encoding: gzip\r\n"),
        repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        repeating(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 1000),
        repeating(b"HTTP/1.1 200 OK\r\nx-a: ", b"b" * 65_536),
        repeating(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1;" + b"e" * 65_536),
    ],
    ids=["endless-body", "bomb", "flood-of-100", "endless-headers", "endless-header", "endless-chunk-extension"],
)
async def test_memory_stays_flat(behaviour: Behaviour) -> None:
    """Thirty at once, twice: what one of them may cost is bounded by what is read of it."""
    process = psutil.Process()
    async with Receiver(behaviour=behaviour) as receiver, a_sender() as sender:

        async def thirty() -> None:
            one_each = (attempt_at(sender, receiver.url(), timeout_seconds=TIMEOUT_SECONDS) for _ in range(30))
            await asyncio.gather(*one_each)

        await thirty()
        before = process.memory_info().rss
        await thirty()
        assert process.memory_info().rss - before < 64 * 1024 * 1024
