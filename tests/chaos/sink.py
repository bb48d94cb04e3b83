"""The subscriber of a chaos run: verifies every request, fails at times, and remembers what it took."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from standardwebhooks.webhooks import WebhookVerificationError

from tests.chaos.violation import Violation, require
from tests.fakes.receiver import Received, Receiver, answer, reset, verify

_FAILS, _RESETS = 0.06, 0.06


class Sink:
    """`taken` counts 2xx answers that went out by `webhook-id`; every attempt of one id must have the same bytes."""

    def __init__(self, seed: int) -> None:
        self.receiver = Receiver(behaviour=self._behave)
        self.secret = ""
        self.bodies: dict[str, bytes] = {}
        self.taken: Counter[str] = Counter()
        self.attempts = 0
        self.wrong: list[str] = []
        self._chance = random.Random(f"{seed}-sink")

    def check(self) -> None:
        """Nothing unsigned, nothing different under one id."""
        require(not self.wrong, "wrong requests at the sink:", self.wrong[:5])

    async def _behave(self, request: Received, writer: asyncio.StreamWriter) -> None:
        self.attempts += 1
        try:
            self._remember(request)
        except (WebhookVerificationError, Violation) as error:
            self.wrong.append(repr(error))
        # A request less to remember: the run lasts.
        self.receiver.received.clear()
        fate = self._chance.random()
        if fate < _FAILS:
            await answer(500)(request, writer)
        elif fate < _FAILS + _RESETS:
            await reset(request, writer)
        else:
            self.taken[request.headers["webhook-id"]] += 1
            await answer(200)(request, writer)

    def _remember(self, request: Received) -> None:
        verify(request, self.secret)
        known = self.bodies.setdefault(request.headers["webhook-id"], request.body)
        require(known == request.body, "two bodies under one id:", request.headers["webhook-id"])
