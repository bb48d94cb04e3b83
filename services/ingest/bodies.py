"""Bodies, read and inflated with caps: nothing is held that is larger than the limit, whatever a header promises."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from starlette.types import Receive

from services.ingest.events import BodyInvalid
from services.ingest.inflight import Hold

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
# What follows the first member is copied for each next one; more than a few are an attack.
MEMBERS_MAX = 16
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"[\0", b"\0{", b"\0[")
_UTF8_MARK = b"\xef\xbb\xbf"


class ClientGone(Exception):
    """The client went away, or was cut off for being slow, before its body was complete."""


async def read_body(receive: Receive, *, bytes_max: int, hold: Hold, is_trusted: bool) -> bytes:
    """The body as sent; raises BodyInvalid `body_too_large` (413), ClientGone, Overloaded.

    `is_trusted` tells that a key came before it: such bodies may take all of the room while they come in.
    """
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest(receive, body, bytes_max, hold.grow if is_trusted else hold.grow_unfinished)
        hold.finish()
    else:
        hold.grow(len(body))
    if len(body) > bytes_max:
        raise too_large(bytes_max)
    return body


def plain_body(body: bytes, content_encoding: str, *, bytes_max: int) -> bytes:
    """The body as text in UTF-8 without its byte order mark.

    Raises BodyInvalid `body_too_large` (413), `encoding_unsupported` (415), `charset_unsupported` (415) and
    `compression_invalid` (400). Some clients compress without saying so; the first two bytes tell.
    """
    if body.startswith(_GZIP_MAGIC):
        body = _inflate(body, _GZIP, bytes_max)
    elif content_encoding == "deflate":
        # Named so, clients send both the format with a header and the one without.
        body = _inflate(body, _ZLIB if body[:1] == b"\x78" else _RAW_DEFLATE, bytes_max)
    elif content_encoding in ("gzip", "x-gzip"):
        raise BodyInvalid("compression_invalid", "Send gzip, or leave Content-Encoding out.")
    elif content_encoding not in ("", "identity"):
        raise BodyInvalid("encoding_unsupported", "Compress with gzip or deflate, or not at all.", status=415)
    if body.startswith(_UTF16):
        raise BodyInvalid("charset_unsupported", "Send UTF-8, not UTF-16 or UTF-32.", status=415)
    return body.removeprefix(_UTF8_MARK)


def too_large(bytes_max: int) -> BodyInvalid:
    """The refusal of a body beyond the limit."""
    return BodyInvalid("body_too_large", f"Keep the body within {bytes_max} bytes, also when inflated.", status=413)


async def _rest(receive: Receive, first: bytes, bytes_max: int, grow: Callable[[int], None]) -> bytes:
    grow(len(first))
    # Not a list of pieces: one of two bytes takes sixty.
    body, more = bytearray(first), True
    while more:
        if len(body) > bytes_max:
            raise too_large(bytes_max)
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk = message.get("body", b"")
        grow(len(chunk))
        body += chunk
        more = message.get("more_body", False)
    return bytes(body)


def _inflate(body: bytes, window_bits: int, bytes_max: int) -> bytes:
    inflated: list[bytes] = []
    room_bytes = bytes_max
    for _ in range(MEMBERS_MAX):
        stream = zlib.decompressobj(window_bits)
        try:
            # One byte more than there is room for tells a full body from one that is too large.
            part = stream.decompress(body, room_bytes + 1)
        except zlib.error as error:
            raise BodyInvalid("compression_invalid", f"Send intact compressed data: {error}.") from error
        room_bytes -= len(part)
        if room_bytes < 0:
            raise too_large(bytes_max)
        inflated.append(part)
        if not stream.eof:
            raise BodyInvalid("compression_invalid", "Send the compressed data to its end; it is cut off.")
        body = stream.unused_data
        if window_bits != _GZIP or not body.startswith(_GZIP_MAGIC):
            break
    if body:
        raise BodyInvalid("compression_invalid", "Send nothing after the compressed data.")
    return b"".join(inflated)
