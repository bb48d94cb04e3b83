"""Bodies of admin requests: small, in UTF-8, and refused as problems before a route sees more of them."""

from __future__ import annotations

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.runtime.problems import Problem, answer_problem

BODY_BYTES_MAX = 262_144

TOO_LARGE = (413, "body_too_large", f"Keep the body within {BODY_BYTES_MAX} bytes.")
WRONG_CHARSET = (415, "charset_unsupported", "Send UTF-8, not UTF-16 or UTF-32.")

# The parser of the standard library, by whose guess JSON may be in any of them, would take these.
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"[\0", b"\0")


class BodyLimit:
    """ASGI middleware: at most BODY_BYTES_MAX of a body are held, whatever a header promises."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await _read(receive)
        except Problem as problem:
            answer = await answer_problem(Request(scope), problem)
            await answer(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _again(body, receive), send)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when the client went away before its end. Problem 413 or 415."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            # The listener drops what is still to come; closing now could lose the answer on its way.
            raise Problem(*TOO_LARGE)
        more = message.get("more_body", False)
    if body.startswith(_UTF16):
        raise Problem(*WRONG_CHARSET)
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then whatever the connection says."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
