"""uvicorn's HTTP/1.1 protocol with the bounds it lacks: slow and endless requests end; refusals are problems."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.runtime.joined_transport import JoinedTransport
from services.runtime.problems import DRAINING, new_request_id, problem_bytes

# Colon, space and the end of the line.
_BESIDE_HEADER_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one listener allows its clients.

    Times run from a request's first byte, from the end of its headers, and from the answer to the one before. Headers
    are bounded in bytes and in number, because a short one takes sixteen times as much in memory as on the wire.
    """

    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    # As much as h11 and Node.js take, and as many as Apache and Envoy.
    header_bytes_max: int = 16_384
    headers_max: int = 100
    connections_max: int = 5_000

    @property
    def sweep_seconds(self) -> float:
        """How often connections are looked at; they end that much late at most."""
        return min(1.0, self.header_seconds / 4, self.body_seconds / 4, self.idle_seconds / 4)


class _Refused(Exception):
    """Stops the parser."""


class _Awaited(Enum):
    """What the client has to send next: another request if it likes, the rest of one, or nothing, as it is our turn."""

    REQUEST = auto()
    HEADERS = auto()
    BODY = auto()
    NOTHING = auto()


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, limits: ConnectionLimits, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.headers = []
        self._headers_number = 0
        self._limits = limits
        self._awaited = _Awaited.REQUEST
        # Loop time by which the client must have sent it.
        self._deadline = math.inf
        # The head of a request that offers another protocol, without the offer.
        self._without_offer = b""
        # Bytes since the last that got anywhere: headers, and the trailers and chunk sizes of a body.
        self._overhead_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request, unless there are too many connections."""
        super().connection_made(JoinedTransport(transport, self.loop))  # type: ignore[arg-type]
        self._deadline = self.loop.time() + self._limits.header_seconds
        if len(self.connections) > self._limits.connections_max:
            self._refuse(503, "too_many_connections", "Too many are connected; try again after Retry-After seconds.")

    def data_received(self, data: bytes) -> None:
        """Feed the parser; headers and trailers that do not end are refused."""
        if self.transport.is_closing():
            return
        self._overhead_bytes += len(data)
        unread = data
        while unread:
            unread = self._feed(unread)
        if self._awaited is _Awaited.HEADERS:
            # Where they follow another request in the same bytes, the end of that was taken for their beginning.
            self._overhead_bytes = max(self._overhead_bytes, self._head_bytes() + len(data) - data.rfind(b"\n") - 1)
        elif self._awaited is _Awaited.BODY:
            self._drop_trailers()
        if self._overhead_bytes > self._limits.header_bytes_max or len(self.headers) > self._limits.headers_max:
            self._refuse_headers()

    def _feed(self, data: bytes) -> bytes:
        """Have the parser read; what is to be read after that.

        Where a client offers another protocol, as Java's does over http with each request (`Upgrade: h2c`), the parser
        takes the body for that protocol: it reads the request again without the offer, which a server may pass over.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offered:
            if self._without_offer:
                unread, self._without_offer = self._without_offer + data[offered.args[0] :], b""
                self.parser = httptools.HttpRequestParser(self)
                # As the one before: a client may send more than it should after the last request, which is answered.
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                return unread
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        return b""

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._awaited = _Awaited.HEADERS
        self._deadline = self.loop.time() + self._limits.header_seconds
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The body follows."""
        self._headers_number = len(self.headers)
        if self._headers_number > self._limits.headers_max or (
            self._overhead_bytes > self._limits.header_bytes_max and self._head_bytes() > self._limits.header_bytes_max
        ):
            self._refuse_headers()
            raise _Refused
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._without_offer = self._head_without_offer()
            return
        self._awaited = _Awaited.BODY
        self._deadline = self.loop.time() + self._limits.body_seconds
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._overhead_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; it may have been answered before."""
        if self._without_offer:
            return
        self._drop_trailers()
        self._awaited = _Awaited.NOTHING
        self._deadline = math.inf
        self._overhead_bytes = 0
        if self.cycle.response_complete:
            self._await_another()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request; uvicorn would set a timer for it each time."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            if self._awaited is not _Awaited.NOTHING:
                # The rest of the next one was not read meanwhile.
                self._deadline = self.loop.time() + self._limits.body_seconds
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        # Else the client is still sending what was answered already.
        if self._awaited is _Awaited.NOTHING:
            self._await_another()

    def _await_another(self) -> None:
        self._awaited = _Awaited.REQUEST
        self._deadline = self.loop.time() + self._limits.idle_seconds

    def end_if_slow(self) -> None:
        """Close the connection if its client is past its deadline, with an answer if none was begun."""
        if self.loop.time() < self._deadline or self.transport.is_closing() or self._owes_an_earlier_answer():
            return
        answering = self._awaited is _Awaited.BODY and self.cycle.response_started
        if answering or self._awaited is _Awaited.REQUEST:
            self.transport.close()
        else:
            header, body = self._limits.header_seconds, self._limits.body_seconds
            message = f"Send the headers within {header:g} s and the body within {body:g} s."
            self._refuse(408, "request_too_slow", message)

    def end_for_good(self) -> None:
        """Close the connection because the listener ends, with an answer if none was begun."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_started or self._owes_an_earlier_answer():
            self.transport.close()
        else:
            self._refuse(*DRAINING)

    def _owes_an_earlier_answer(self) -> bool:
        next_begun = self._awaited is _Awaited.HEADERS and self.cycle is not None and not self.cycle.response_complete
        return bool(self.pipeline) or next_begun

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for bytes that are no HTTP."""
        if not self.transport.is_closing():
            self._refuse(400, "http_invalid", f"Send valid HTTP/1.1. {msg}")

    def _drop_trailers(self) -> None:
        """The parser puts them behind the headers, where an app would take them for some."""
        del self.headers[self._headers_number :]

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + _BESIDE_HEADER_BYTES for name, value in self.headers)

    def _refuse_headers(self) -> None:
        if self._owes_an_earlier_answer():
            # This would be taken for it; without any the client sends both requests again.
            self.transport.close()
        elif not self.transport.is_closing():
            size, number = self._limits.header_bytes_max, self._limits.headers_max
            self._refuse(431, "headers_too_large", f"Send {number} headers at most, within {size} bytes.")

    def _refuse(self, status: int, code: str, message: str) -> None:
        request_id = new_request_id()
        body = problem_bytes(code, message, request_id)
        head = (
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nx-request-id: {request_id}\r\n"
            f"retry-after: 1\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()
