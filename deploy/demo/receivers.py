"""Subscribers of the demo: local webhooks that verify every signature with the published standardwebhooks package."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One request at a receiver: what it said, and which HTTP status it was answered with.

    `signal` is None when the signature did not verify; `attempt` counts the requests with this webhook-id, from 1.
    """

    receiver: str
    webhook_id: str
    arrived_at_seconds: float
    status: int
    attempt: int
    signal: dict[str, Any] | None

    @property
    def is_delivery(self) -> bool:
        """Verified and answered with success."""
        return self.signal is not None and 200 <= self.status < 300


class Receiver:
    """An ASGI app which records every request; the first `failures` verified ones are answered 500, forged ones 401.

    `types` is what its endpoint asks for; `secret` the endpoint's, known only after it was registered with this
    receiver's address; `on_arrival` is called after each answer.
    """

    def __init__(self, name: str, types: tuple[str, ...], *, failures: int = 0) -> None:
        self.name = name
        self.types = types
        self.secret = ""
        self.on_arrival: Callable[[Arrival], None] | None = None
        self.arrivals: list[Arrival] = []
        self._failures_left = failures
        self._attempts: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one webhook."""
        body = await _read_body(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        arrival = self.judge(headers, body, arrived_at_seconds=time.time())
        self.arrivals.append(arrival)
        await send({"type": "http.response.start", "status": arrival.status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        if self.on_arrival is not None:
            self.on_arrival(arrival)

    def judge(self, headers: dict[str, str], body: bytes, *, arrived_at_seconds: float) -> Arrival:
        """Verifies a request and chooses its answer."""
        webhook_id = headers.get("webhook-id", "")
        self._attempts[webhook_id] = self._attempts.get(webhook_id, 0) + 1
        signal = self._verified(headers, body)
        return Arrival(
            receiver=self.name,
            webhook_id=webhook_id,
            arrived_at_seconds=arrived_at_seconds,
            status=401 if signal is None else self._answer(),
            attempt=self._attempts[webhook_id],
            signal=signal,
        )

    def _verified(self, headers: dict[str, str], body: bytes) -> dict[str, Any] | None:
        try:
            Webhook(self.secret).verify(body, headers)
            signal: dict[str, Any] = json.loads(body)
        except (WebhookVerificationError, ValueError):
            return None
        return signal

    def _answer(self) -> int:
        if self._failures_left:
            self._failures_left -= 1
            return 500
        return 200


async def _read_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)
