"""The sender on real sockets: TLS that must not be trusted, names whose answers change between two looks."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.notifier.domain.addresses import AddressRules
from services.notifier.domain.endpoint_url import parse_url
from services.notifier.domain.gate import GateChanges
from services.notifier.domain.signature import Scheme, SigningKey
from services.notifier.metrics import NotifierMetrics
from services.notifier.sender.client import Attempt, Sender, SenderLimits, new_tls_context
from services.notifier.sender.request import Recipient
from services.notifier.sender.resolver import Resolver
from services.notifier.store.gates import GateEvents
from services.notifier.store.queue import Claimed, Recorded
from tests.certificates import certificate
from tests.fakes.outcome_writer import writing
from tests.fakes.receiver import Behaviour, Receiver, answer, raw, reset, silent

HOST = "hooks.example.com"
RULES = AddressRules(frozenset({ip_address("127.0.0.1")}))
DELIVERY = Claimed(
    id=1,
    endpoint_id="ep_one",
    revision=1,
    claim=1,
    attempts=0,
    failures=0,
    manual=False,
    message_id="m",
    type="account.stalled",
    traceparent=None,
    body=b"{}",
    age_seconds=0,
    claimed_at=0,
)


@asynccontextmanager
async def sender(
    lookup: Callable[[str], list[str]],
    *,
    ca_file: str = "",
    dns_seconds: float = 2,
    connect_seconds: float = 5,
    age_seconds_max: float = 60,
) -> AsyncIterator[Sender]:
    """A sender that resolves by `lookup` at each look."""
    made = Sender(
        rules=RULES,
        resolver=Resolver(timeout_seconds=dns_seconds, lookup=lookup, cache_seconds=0),
        tls=new_tls_context(ca_file),
        limits=SenderLimits(connect_seconds=connect_seconds, connection_age_seconds_max=age_seconds_max),
        metrics=NotifierMetrics(CollectorRegistry()),
    )
    yield made
    await made.close()


def a_recipient(url: str, *, timeout_seconds: float = 5) -> Recipient:
    """An endpoint."""
    return Recipient(
        id="ep_one",
        revision=1,
        target=parse_url(url),
        keys=(SigningKey(Scheme.HMAC_SHA256, bytes(32)),),
        timeout_seconds=timeout_seconds,
        concurrency_max=1,
    )


async def send(by: Sender, url: str) -> Attempt:
    """One attempt."""
    return await by.attempt(DELIVERY, a_recipient(url))


@pytest.mark.parametrize(
    ("name", "valid_days", "trusted", "result"),
    [
        (HOST, 1, True, "http_2xx"),
        (HOST, 1, False, "tls"),
        ("other.example.com", 1, True, "tls"),
        (HOST, -1, True, "tls"),
    ],
    ids=["good", "self-signed", "wrong-name", "expired"],
)
async def test_certificates_are_verified(
    tmp_path: Path, name: str, valid_days: int, trusted: bool, result: str
) -> None:
    """Only a trusted, current certificate for the name in the URL gets the request; anything else is `tls`."""
    context, file = certificate(tmp_path, name, valid_days=valid_days)
    async with (
        Receiver(tls=context) as receiver,
        sender(lambda _: ["127.0.0.1"], ca_file=file if trusted else "") as by,
    ):
        attempt = await send(by, f"https://{HOST}:{receiver.port}/")
        assert attempt.answer.result == result, attempt.error
        assert [each.headers["host"] for each in receiver.received] == [f"{HOST}:{receiver.port}"] * (
            result == "http_2xx"
        )


@pytest.mark.parametrize(
    "answers",
    [
        (["127.0.0.2"],),
        (["127.0.0.1", "10.0.0.1"],),
        (["127.0.0.1"], ["127.0.0.2"]),
        (["127.0.0.1"], ["::ffff:127.0.0.1"]),
    ],
    ids=["forbidden", "one-of-two", "changed-before-connecting", "mapped"],
)
async def test_forbidden_answers_get_no_connection(answers: tuple[list[str], ...]) -> None:
    """The first look vets, the second connects: whichever of the two answers is forbidden, nothing is sent."""
    looks = iter(answers)
    async with Receiver() as receiver, sender(lambda _: next(looks)) as by:
        attempt = await send(by, f"http://{HOST}:{receiver.port}/")
        assert (attempt.answer.result, receiver.received) == ("blocked_address", [])


async def test_kept_connection_is_not_used_once_its_name_leads_elsewhere() -> None:
    """A name that was fine and now leads inside is refused, although a good connection for it is still open."""
    looks = iter([["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"], ["169.254.169.254"]])
    async with Receiver() as receiver, sender(lambda _: next(looks)) as by:
        url = f"http://{HOST}:{receiver.port}/"
        results = [(await send(by, url)).answer.result for _ in range(3)]
        assert results == ["http_2xx", "http_2xx", "blocked_address"]
        assert [each.connection for each in receiver.received] == [1, 1]


@pytest.mark.parametrize(("age_seconds_max", "connections"), [(60, [1, 1]), (0, [1, 2])], ids=["young", "aged"])
async def test_connections_are_not_used_for_ever(age_seconds_max: float, connections: list[int]) -> None:
    """A kept connection serves the next attempt until it is too old: a load balancer's new servers get their share."""
    async with Receiver() as receiver, sender(lambda _: ["127.0.0.1"], age_seconds_max=age_seconds_max) as by:
        for _ in connections:
            assert (await send(by, f"http://{HOST}:{receiver.port}/")).answer.result == "http_2xx"
        assert [each.connection for each in receiver.received] == connections


async def test_silent_name_servers_cost_no_more_than_their_time() -> None:
    """Their answer is not waited for longer than `dns_timeout_seconds`, and nothing is connected to."""
    answered = threading.Event()

    def never(_: str) -> list[str]:
        answered.wait(30)
        return ["127.0.0.1"]

    async with Receiver() as receiver, sender(never, dns_seconds=0.05) as by:
        attempt = await send(by, f"http://{HOST}:{receiver.port}/")
        answered.set()
        assert (attempt.answer.result, receiver.received) == ("dns", [])
        assert attempt.duration_seconds < 5


async def test_a_handshake_that_is_not_answered_costs_no_more_than_its_time() -> None:
    """TCP and TLS together have one limit, within that of the whole attempt."""
    server = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
    async with server, sender(lambda _: ["127.0.0.1"], connect_seconds=0.05) as by:
        attempt = await send(by, f"https://{HOST}:{server.sockets[0].getsockname()[1]}/")
        assert (attempt.answer.result, attempt.error) == ("connect", "No connection within the time allowed.")
        assert attempt.duration_seconds < 5


async def _say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_410_disables_the_terms_that_it_answers() -> None:
    """What was claimed before a change of the endpoint goes out on the new terms: these are what is gone."""
    recorded: asyncio.Queue[GateChanges] = asyncio.Queue()

    async def record(_: object, changes: GateChanges, *, again: bool) -> Recorded:
        recorded.put_nowait(changes)
        return Recorded(set(), GateEvents(), ())

    async with Receiver(answer(410)) as receiver, sender(lambda _: ["127.0.0.1"]) as by, writing(record) as writer:
        renewed = replace(a_recipient(f"http://{HOST}:{receiver.port}/"), revision=2)
        await writer.put(await by.attempt(DELIVERY, renewed))
    assert (DELIVERY.revision, recorded.get_nowait().disabled) == (1, {"ep_one": 2})


class Tracked(Claimed):
    """One that tells when it is gone."""


@pytest.mark.parametrize(
    ("behaviour", "addresses", "result"),
    [
        (None, ["127.0.0.1"], "connect"),
        (None, ["127.0.0.2"], "blocked_address"),
        (reset, ["127.0.0.1"], "reset"),
        (raw(b"no HTTP\r\n\r\n"), ["127.0.0.1"], "protocol"),
        (silent, ["127.0.0.1"], "timeout"),
        (None, [], "dns"),
    ],
    ids=["refused", "blocked", "reset", "protocol", "timeout", "dns"],
)
async def test_a_failure_leaves_nothing_for_the_collector_of_garbage(
    behaviour: Behaviour | None, addresses: list[str], result: str
) -> None:
    """That one looks seldom, and bodies may be large: a failed attempt must be free at once."""

    def look_up(_: str) -> list[str]:
        if not addresses:
            raise OSError("no such name")
        return addresses

    async def fail() -> tuple[str, weakref.ref[Claimed]]:
        delivery = Tracked(**asdict(DELIVERY))
        # Where time is not what it fails by, it has some on a busy machine too.
        patience = 0.2 if result == "timeout" else 30
        attempt = await by.attempt(delivery, a_recipient(f"http://{HOST}:{port}/", timeout_seconds=patience))
        return attempt.answer.result, weakref.ref(delivery)

    async with Receiver(behaviour or answer(200)) as receiver:
        port = receiver.port
        if behaviour is None:
            await receiver.__aexit__()
        async with sender(look_up) as by:
            gc.disable()
            try:
                found, held = await fail()
                # The loop itself lets go of a closed connection at its next turn.
                await asyncio.sleep(0)
                assert (found, held()) == (result, None)
            finally:
                gc.enable()
