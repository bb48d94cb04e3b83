"""Bounds what is read of an answer beside its body: the client's parser bounds a line, not their number, and goes on to
read answers after the one that was asked for."""

from __future__ import annotations

from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

# Status lines and headers of an answer, interim ones (1xx) included, bytes.
HEAD_BYTES_MAX = 65_536


class BoundedHead(ResponseHandler):
    """A connection that ends with an error once more than HEAD_BYTES_MAX came without a final answer, and at once when
    another answer comes after it."""

    _head_bytes: int | None = 0

    @property
    def answering(self) -> bool:
        """Whether anything came since `expect_answer`."""
        return self._head_bytes != 0

    def expect_answer(self) -> None:
        """Begin to count; called before each request."""
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Hand the data to the parser, unless there was too much of it."""
        super().data_received(data)
        if self._head_bytes is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX and self.transport is not None:
            self.transport.abort()
            self.set_exception(HttpProcessingError(code=400, message="the head of the answer has no end"))

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Called by the parser with each head; a final one is followed by a body, whose reader has its own bound."""
        if self._head_bytes is None:
            # It would be taken for the answer to the next request.
            if self.transport is not None:
                self.transport.abort()
            return
        if data[0].code >= 200:
            self._head_bytes = None
        super().feed_data(data, size)
