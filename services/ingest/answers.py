"""Answers of the hot routes as bytes; every error has `code`, `message` and `request_id`."""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from starlette.types import Send

from services.ingest.events import Rejection
from services.runtime.problems import problem_body

BROKER_UNAVAILABLE: Final = (
    503,
    "broker_unavailable",
    "Kafka does not confirm; send the same again after Retry-After seconds.",
)

_JSON = (b"content-type", b"application/json")
# Clients that were refused together should not come back together.
_RETRY_SECONDS = (1, 5)

_encode = msgspec.json.encode


def request_ids() -> Iterator[str]:
    """Ids that no other process and no earlier run gives: a random stem and a counter."""
    stem = secrets.token_hex(8)
    return (f"{stem}{number:012x}" for number in itertools.count())


def taken(accepted: int, errors: Sequence[Rejection], position: str | None = None) -> bytes:
    """The body of a 200."""
    if not errors and position is None:
        return b'{"success":true,"accepted":%d,"rejected":0,"errors":[]}' % accepted
    answer: dict[str, Any] = {"success": True, "accepted": accepted, "rejected": len(errors), "errors": errors}
    if position is not None:
        answer["position"] = position
    return _encode(answer)


def refused(code: str, message: str, request_id: str, **details: Any) -> bytes:
    """The body of an error."""
    return _encode(problem_body(code, message, request_id, **details))


def retry_after() -> tuple[bytes, bytes]:
    """The header of a 503."""
    return b"retry-after", b"%d" % random.randint(*_RETRY_SECONDS)


async def send_answer(
    send: Send, status: int, body: bytes, request_id: str, extra: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Send one JSON answer."""
    headers = [
        _JSON,
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_preflight(send: Send, request_id: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Tell a browser's page whether it may send what it asked to send."""
    all_headers = [*headers, (b"x-request-id", request_id.encode())]
    await send({"type": "http.response.start", "status": 204, "headers": all_headers})
    await send({"type": "http.response.body", "body": b""})
