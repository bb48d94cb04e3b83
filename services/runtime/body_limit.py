"""Bodies of admin requests: small, in UTF-8, and refused as problems before a route sees more of them."""

from __future__ import annotations

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.runtime.problems import Problem, answer_problem

BODY_BYTES_MAX = 262_144
# Of all requests together: keys are looked at after the body, so anybody may send one on each connection.
BODIES_BYTES_MAX = 67_108_864

TOO_LARGE = (413, "body_too_large", f"Keep the body within {BODY_BYTES_MAX} bytes.")
OVERLOADED = (503, "overloaded", "Too much is being received at once; send the same again after Retry-After seconds.")
WRONG_CHARSET = (415, "charset_unsupported", "Send UTF-8, not UTF-16 or UTF-32.")

# The parser of the standard library, by whose guess JSON may be in any of them, would take these.
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"[\0", b"\0")


class BodyLimit:
    """ASGI middleware: of a body at most BODY_BYTES_MAX are held, of all together BODIES_BYTES_MAX."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        try:
            if await self._read(receive, body):
                await self._app(scope, _again(bytes(body), receive), send)
        except _Refused as refused:
            answer = await answer_problem(Request(scope), refused.problem)
            await answer(scope, receive, send)
        finally:
            self._held_bytes -= len(body)

    async def _read(self, receive: Receive, body: bytearray) -> bool:
        """Fill `body`; False when the client went away before its end. Raises _Refused."""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return False
            chunk = message.get("body", b"")
            if self._held_bytes + len(chunk) > BODIES_BYTES_MAX:
                raise _Refused(Problem(*OVERLOADED, headers={"retry-after": "1"}))
            self._held_bytes += len(chunk)
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                # The listener drops what is still to come; closing now could lose the answer on its way.
                raise _Refused(Problem(*TOO_LARGE))
            more = message.get("more_body", False)
        if body.startswith(_UTF16):
            raise _Refused(Problem(*WRONG_CHARSET))
        return True


class _Refused(Exception):
    """A body that no route may see; not what a route raises by itself."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


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
