"""Hostile input over real HTTP: each is refused for what it is, costs little, and never fails on our side."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.integration.ingest_process import ADMIN_KEY, IngestProcess
from tests.integration.topic_reader import events_of

SLOW_SENDERS = 2_000
# With a thousand of them 70 MB; 64 MiB are the most that ingest holds.
HALF_BODY_BYTES = 70_000
BOMB_BYTES_MAX = 32 * 1024 * 1024
GOOD = b'{"type":"track","event":"X","userId":"u","context":{"groupId":"acme"},"properties":{"x":%b}}'

# By what it is: a JSON value, and the code with which the event that holds it is rejected.
VALUES: dict[str, tuple[bytes, str]] = {
    "nul": (b'"a\\u0000b"', "nul_character"),
    "raw_nul": (b'"a\x00b"', "json_invalid"),
    "high_surrogate": (b'"\\ud800"', "surrogate_invalid"),
    "low_surrogate": (b'"\\udc00"', "surrogate_invalid"),
    "nan": (b"NaN", "json_invalid"),
    "infinity": (b"-Infinity", "json_invalid"),
    "too_large_float": (b"1e400", "number_out_of_range"),
    "too_large_integer": (b"9223372036854775808", "number_out_of_range"),
    "too_small_integer": (b"-9223372036854775809", "number_out_of_range"),
    "depth": (b"[" * 33 + b"]" * 33, "depth_exceeded"),
    "depth_of_a_thousand": (b'{"a":' * 1_000 + b"1" + b"}" * 1_000, "depth_exceeded"),
    "duplicate_key": (b'{"a":1,"a":2}', "key_duplicate"),
    "duplicate_key_escaped": (b'{"a":1,"\\u0061":2}', "key_duplicate"),
    "not_utf8": (b'"\xc3\x28"', "utf8_invalid"),
}
BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "utf16": ('{"batch":[]}'.encode("utf-16"), {}, 415),
    "utf16_without_mark": ('{"batch":[]}'.encode("utf-16-le"), {}, 415),
    "utf32": ('{"batch":[]}'.encode("utf-32"), {}, 415),
    "too_large": (b" " * 5_242_881, {}, 413),
    "gzip_bomb": (gzip.compress(bytes(60_000_000), mtime=0), {"content-encoding": "gzip"}, 413),
    "gzip_bomb_of_members": (gzip.compress(bytes(4_000_000), mtime=0) * 2, {"content-encoding": "gzip"}, 413),
    "many_members": (gzip.compress(b"", mtime=0) * 10_000, {"content-encoding": "gzip"}, 400),
    "truncated_gzip": (gzip.compress(b'{"batch":[]}', mtime=0)[:-5], {"content-encoding": "gzip"}, 400),
    "not_gzip": (b'{"batch":[]}', {"content-encoding": "gzip"}, 400),
    "brotli": (b"{}", {"content-encoding": "br"}, 415),
    "empty": (b"", {}, 400),
    "not_an_object": (b'"batch"', {}, 400),
    "only_brackets": (b"[" * 5_000_000, {}, 400),
    "only_commas": (b'{"batch":[' + b"," * 5_000_000, {}, 400),
    "only_quotes": (b'{"batch":["' * 400_000, {}, 400),
}


SETTINGS = {"ingest_body_seconds": 20}


@pytest.fixture(scope="module")
def service(service: IngestProcess) -> Iterator[IngestProcess]:
    """At the end of the module it still runs, and has nothing in its log that nobody handled."""
    yield service
    assert service.process.poll() is None
    text = service.log.read_text()
    assert "Traceback" not in text
    assert [line["event"] for line in service.logged() if line.get("level") in ("error", "critical")] == []
    assert all(line.startswith("{") for line in text.splitlines())


def good_is_answered(service: IngestProcess) -> float:
    """How long a good request takes, in seconds."""
    began = time.monotonic()
    assert service.post("/v1/track", GOOD % b"1").status_code == 200
    return time.monotonic() - began


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_no_value_refuses_its_event_alone(service: IngestProcess, name: str) -> None:
    """The neighbour in the batch is taken; alone it is a 400 with the same code."""
    value, code = VALUES[name]
    batch = service.post("/v1/batch", b'{"batch":[' + GOOD % b"1" + b"," + GOOD % value + b"]}")
    assert batch.status_code == 200, batch.text
    assert (batch.json()["accepted"], [error["code"] for error in batch.json()["errors"]]) == (1, [code])
    single = service.post("/v1/track", GOOD % value)
    assert (single.status_code, single.json()["code"]) == (400, code)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_body_is_refused(service: IngestProcess, name: str) -> None:
    """In the one shape, without a failure on our side, in a time that holds nobody up."""
    body, headers, status = BODIES[name]
    answer = service.post("/v1/batch", body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() >= {"code", "message", "request_id"}
    good_is_answered(service)


@pytest.mark.parametrize("value", [b"Basic \xff\xfe", b"Basic ***", b"Basic", b"Bearer \xff", b"\xff"])
def test_a_key_that_is_no_text_is_refused(service: IngestProcess, value: bytes) -> None:
    """As one that nobody has; and nobody needs a key to send it."""
    answer = service.post("/v1/track", GOOD % b"1", key=None, headers={"authorization": value})
    assert answer.status_code == 401, answer.text


async def test_ids_beyond_255_bytes_are_refused(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """An index could not hold them."""
    long = "x" * 3_000
    track = {"type": "track", "event": "X", "userId": "u", "context": {"groupId": "acme"}}
    events = [{**track, "userId": long}, {**track, "messageId": long}, {**track, "context": {"groupId": long}}]
    answer = service.post("/v1/batch", {"batch": [*events, {**track, "event": long}, track]}).json()
    assert [error["code"] for error in answer["errors"]] == ["id_too_long"] * 4
    assert all(len(error["message_id"] or "") <= 80 for error in answer["errors"])
    stored = await events_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    assert all(long not in str(event) for event in stored)


def test_a_bomb_costs_little_memory(service: IngestProcess) -> None:
    """A thousand to one, several at a time: each is inflated no further than to the limit."""
    bomb = gzip.compress(bytes(1_000_000_000), mtime=0)
    process = psutil.Process(service.process.pid)
    before = highest = process.memory_info().rss
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(service.post, "/v1/batch", bomb) for _ in range(12)]
        # What a bomb costs is given back before it is answered.
        while not all(answer.done() for answer in answers):
            highest = max(highest, process.memory_info().rss)
    assert {answer.result().status_code for answer in answers} == {413}
    assert highest - before < BOMB_BYTES_MAX


async def raw(service: IngestProcess, sent: bytes, *, close: bool = False) -> bytes:
    """What is answered to bytes on a bare connection, until the service closes it or has answered."""
    address = urlsplit(service.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    if close:
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(65_536), 30)
    finally:
        writer.close()


def head(length: object, *more: str, key: str | None = ADMIN_KEY) -> bytes:
    """The head of a request that says how long its body is."""
    lines = ["POST /v1/track HTTP/1.1", "host: x", f"content-length: {length}"]
    if key is not None:
        lines.append(f"authorization: Bearer {key}")
    return "\r\n".join([*lines, *more, "", ""]).encode()


@pytest.mark.parametrize(
    ("length", "more", "statuses"),
    [
        (50_000_000_000, (), (b"413",)),
        (-1, (), (b"400",)),
        ("12, 13", (), (b"400",)),
        ("x", (), (b"400",)),
        (5, ("transfer-encoding: chunked",), (b"400", b"408")),
    ],
    ids=["huge", "negative", "two", "no_number", "and_chunked"],
)
async def test_a_length_that_cannot_be_is_refused(
    service: IngestProcess, length: object, more: tuple[str, ...], statuses: tuple[bytes, ...]
) -> None:
    """Before anything of the body is kept."""
    answer = await raw(service, head(length, *more) + b"{}")
    assert answer.split(b" ")[1] in statuses, answer[:200]


async def test_a_length_that_lies_hurts_its_sender_alone(service: IngestProcess) -> None:
    """Shorter than the body: what is left over is no request. Longer: the rest is waited for, not for ever."""
    whole = GOOD % b"1"
    answer = await raw(service, head(len(whole) - 5) + whole)
    assert answer.split(b" ")[1] == b"400"
    await raw(service, head(len(whole) + 50) + whole, close=True)
    assert await asyncio.to_thread(good_is_answered, service) < 5


async def test_thousands_of_slow_senders_leave_a_good_client_alone(service: IngestProcess) -> None:
    """Nobody asked them for a key. Half are half-way in the headers, half in a body, and with these more than may be
    held in memory; a good client is answered within a second, and its large batches, which come in pieces, too."""
    address = urlsplit(service.url)
    slow = head(99_999, key=None)
    batch = b'{"batch":[' + b",".join([GOOD % (b'"%b"' % (b"x" * 1_000))] * 1_000) + b"]}"

    async def half(number: int) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(slow[:30] if number % 2 else slow + b" " * HALF_BODY_BYTES)
        return writer

    writers: list[Any] = []
    try:
        for start in range(0, SLOW_SENDERS, 100):
            writers += await asyncio.gather(*(half(number) for number in range(start, start + 100)))
        # One of several, because a busy machine may hold up any single one.
        assert min([await asyncio.to_thread(good_is_answered, service) for _ in range(5)]) < 1
        for _ in range(5):
            assert (await asyncio.to_thread(service.post, "/v1/batch", batch)).status_code == 200
    finally:
        for writer in writers:
            writer.close()


def test_nothing_failed_on_our_side(service: IngestProcess) -> None:
    """No 500 was answered to any of it; 503 was to slow senders that wanted more memory than there is for them."""
    text = httpx.get(service.private_url + "/metrics", timeout=10).text
    failed = [
        line
        for line in text.splitlines()
        if line.startswith("firstvalue_ingest_requests_total{") and 'code="500' in line and not line.endswith(" 0.0")
    ]
    assert failed == []
    assert json.loads(service.post("/v1/track", GOOD % b"1").text)["success"]
