"""The parts of a request: body, compression, keys, and the bytes that are held."""

from __future__ import annotations

import asyncio
import base64
import gzip
import tracemalloc
import zlib
from typing import Any

import pytest

from services.ingest.bodies import ClientGone, plain_body, read_body
from services.ingest.credentials import key_in_headers, same_key
from services.ingest.events import BodyInvalid
from services.ingest.inflight import Hold, InFlight, Overloaded
from services.runtime.problems import Problem

LIMIT = 10_000
TEXT = b'{"batch":[]}' * 20


def raw_deflate(data: bytes) -> bytes:
    """Deflate without header, as some clients understand the name."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT, mtime=0), ""),
        (gzip.compress(TEXT[:100], mtime=0) + gzip.compress(TEXT[100:], mtime=0), "x-gzip"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
        (b"\xef\xbb\xbf" + TEXT, ""),
    ],
)
def test_bodies_are_inflated_however_they_say_so(body: bytes, encoding: str) -> None:
    """gzip by its first bytes, deflate in both of its forms, several gzip members."""
    assert plain_body(body, encoding, bytes_max=LIMIT) == TEXT
    if not body.startswith(b"\xef"):
        assert plain_body(body, encoding, bytes_max=len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (gzip.compress(TEXT, mtime=0)[:-9], "gzip", 400, "compression_invalid"),
        (gzip.compress(TEXT, mtime=0) + b"rest", "gzip", 400, "compression_invalid"),
        (b"\x1f\x8b" + b"x" * 50, "", 400, "compression_invalid"),
        (TEXT, "gzip", 400, "compression_invalid"),
        (gzip.compress(b"", mtime=0) * 100, "gzip", 400, "compression_invalid"),
        (gzip.compress(bytes(LIMIT + 1), mtime=0), "gzip", 413, "body_too_large"),
        (gzip.compress(bytes(LIMIT), mtime=0) + gzip.compress(b"1", mtime=0), "gzip", 413, "body_too_large"),
        (zlib.compress(bytes(LIMIT * 1000)), "deflate", 413, "body_too_large"),
        (TEXT, "br", 415, "encoding_unsupported"),
        (TEXT.decode().encode("utf-16"), "", 415, "charset_unsupported"),
        (TEXT.decode().encode("utf-16-le"), "", 415, "charset_unsupported"),
        (TEXT.decode().encode("utf-16-be"), "", 415, "charset_unsupported"),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(body: bytes, encoding: str, status: int, code: str) -> None:
    """Each with its status and a code."""
    with pytest.raises(BodyInvalid) as refusal:
        plain_body(body, encoding, bytes_max=LIMIT)
    assert (refusal.value.status, refusal.value.code) == (status, code)


async def received(*messages: dict[str, Any], hold: Hold | None = None, is_trusted: bool = False) -> bytes:
    """What read_body makes of these ASGI messages."""
    queue = list(messages)

    async def receive() -> dict[str, Any]:
        return queue.pop(0)

    hold = hold or Hold(InFlight(bytes_max=1000, requests_max=1))
    return await read_body(receive, bytes_max=100, hold=hold, is_trusted=is_trusted)


async def test_a_body_is_joined_from_its_chunks() -> None:
    """Up to the limit, and one byte more is too much wherever it comes."""
    chunk = {"type": "http.request", "body": b"x" * 50, "more_body": True}
    last = {"type": "http.request", "body": b"x" * 50}
    assert await received(chunk, last) == b"x" * 100
    assert await received(chunk, chunk, {"type": "http.request"}) == b"x" * 100
    with pytest.raises(BodyInvalid):
        await received(chunk, chunk, chunk, last)
    with pytest.raises(BodyInvalid):
        await received({"type": "http.request", "body": b"x" * 101})
    for sent in ((), (chunk,)):
        with pytest.raises(ClientGone):
            await received(*sent, {"type": "http.disconnect"})


async def test_a_body_takes_no_more_memory_in_small_pieces() -> None:
    """What is counted as held is what it takes."""
    pieces = 50_000

    async def receive() -> dict[str, Any]:
        nonlocal pieces
        pieces -= 1
        return {"type": "http.request", "body": b"%02d" % (pieces % 100), "more_body": pieces > 0}

    hold = Hold(InFlight(bytes_max=200_000, requests_max=1))
    tracemalloc.start()
    try:
        body = await read_body(receive, bytes_max=200_000, hold=hold, is_trusted=True)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) == 100_000
    assert peak_bytes < 400_000


async def test_held_bytes_are_bounded_and_given_back() -> None:
    """A request that does not fit takes nothing."""
    inflight = InFlight(bytes_max=120, requests_max=1)
    hold = Hold(inflight)
    chunk = {"type": "http.request", "body": b"x" * 50, "more_body": True}
    with pytest.raises(Overloaded):
        await received(chunk, chunk, hold=hold)
    assert inflight.held_bytes == 50
    hold.release()
    assert inflight.held_bytes == 0


async def test_bodies_on_their_way_leave_room_for_whole_ones() -> None:
    """Else a few clients that send half of a body and wait, whom nobody asked for a key yet, keep out all others."""
    inflight = InFlight(bytes_max=200, requests_max=1)
    slow, slower, good = Hold(inflight), Hold(inflight), Hold(inflight)
    half = {"type": "http.request", "body": b"x" * 60, "more_body": True}
    never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    messages = [half]

    async def receive() -> Any:
        return messages.pop() if messages else await never

    reading = asyncio.create_task(read_body(receive, bytes_max=100, hold=slow, is_trusted=False))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await received(half, hold=slower)
    assert await received({"type": "http.request", "body": b"x" * 100}, hold=good) == b"x" * 100
    reading.cancel()
    for hold in (slow, slower, good):
        hold.release()
    assert (inflight.held_bytes, inflight.unfinished_bytes) == (0, 0)


async def test_who_has_a_key_is_not_kept_out_by_those_who_have_none() -> None:
    """Large batches come in pieces too; those of a known sender may take the whole room."""
    inflight = InFlight(bytes_max=200, requests_max=1)
    Hold(inflight).grow_unfinished(100)
    part = {"type": "http.request", "body": b"x" * 50, "more_body": True}
    last = {"type": "http.request", "body": b"x" * 50}
    with pytest.raises(Overloaded):
        await received(part, last, hold=Hold(inflight))
    assert await received(part, last, hold=Hold(inflight), is_trusted=True) == b"x" * 100
    assert (inflight.held_bytes, inflight.unfinished_bytes) == (200, 100)


async def test_a_body_that_is_whole_takes_no_room_from_others_on_their_way() -> None:
    """Only while it comes in."""
    inflight = InFlight(bytes_max=200, requests_max=1)
    hold = Hold(inflight)
    part = {"type": "http.request", "body": b"x" * 40, "more_body": True}
    await received(part, {"type": "http.request", "body": b"x" * 40}, hold=hold)
    assert (inflight.held_bytes, inflight.unfinished_bytes) == (80, 0)


def test_requests_that_are_worked_on_are_bounded() -> None:
    """One that ends makes room, and one that was never counted takes none away."""
    inflight = InFlight(bytes_max=60, requests_max=1)
    first, second = Hold(inflight), Hold(inflight)
    first.enter()
    with pytest.raises(Overloaded):
        second.enter()
    second.release()
    assert inflight.requests == 1
    first.release()
    second.enter()


def basic(text: str) -> bytes:
    """A Basic authorization header."""
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({b"authorization": b"Bearer abc"}, "abc"),
        ({b"authorization": b"bearer  abc "}, "abc"),
        ({b"authorization": basic("abc:")}, "abc"),
        ({b"authorization": basic("abc")}, "abc"),
        ({b"x-write-key": b"abc"}, "abc"),
        ({b"authorization": basic("abc:"), b"x-write-key": b"abc"}, "abc"),
        ({b"authorization": b"Digest abc"}, None),
        ({}, None),
    ],
)
def test_keys_are_found_where_clients_put_them(headers: dict[bytes, bytes], key: str | None) -> None:
    """Bearer, Basic with and without colon, X-Write-Key."""
    assert key_in_headers(headers) == key


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({b"authorization": b"Bearer abc", b"x-write-key": b"other"}, "keys_differ"),
        *(({b"authorization": b"Basic " + text}, "key_unreadable") for text in (b"***", b"YQ", b"\xff\xfe", b"/w==")),
    ],
)
def test_contradicting_or_unreadable_keys_are_refused(headers: dict[bytes, bytes], code: str) -> None:
    """401 either way."""
    with pytest.raises(Problem) as problem:
        key_in_headers(headers)
    assert (problem.value.status, problem.value.code) == (401, code)
    with pytest.raises(Problem):
        same_key("a", "b")


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    """Inflating stops at the cap; it is not looked at afterwards."""
    bomb = gzip.compress(bytes(20_000_000), mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(BodyInvalid):
            plain_body(bomb, "gzip", bytes_max=LIMIT)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000
