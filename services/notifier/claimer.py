"""Keeps the dispatcher fed: claims what is due when told that there is something, and every so often by itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.notifier.dispatcher import Dispatcher
from services.notifier.domain.outcome import Answer, Result
from services.notifier.outcomes import OutcomeWriter
from services.notifier.recipients import Recipients, Unsendable
from services.notifier.sender.client import Attempt, Sender
from services.notifier.sender.request import Recipient
from services.notifier.store.queue import CLAIM_MAX, QUEUED_BYTES_MAX, QUEUED_MAX, Claimed, QueueStore
from services.runtime.health import Health
from services.runtime.postgres import is_transient

log = structlog.get_logger(__name__)

_BACKOFF_SECONDS = 0.5
# How often terms are looked up of endpoints for which claimed deliveries wait here.
_TERMS_SECONDS = 0.25
# What has waited in its lane for longer than this is looked up once more before it is sent.
_LOOK_AGAIN_SECONDS = 1.0


class Wake:
    """Tells the claimer that something may be due."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when called since the last wait, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()


class Deliverer:
    """One claimed delivery from the lane to its recorded outcome."""

    def __init__(self, *, queue: QueueStore, sender: Sender, outcomes: OutcomeWriter, lease_seconds: float) -> None:
        self._queue = queue
        self._sender = sender
        self._outcomes = outcomes
        self._lease_seconds = lease_seconds

    async def __call__(self, delivery: Claimed, recipient: Recipient | Unsendable) -> Result | None:
        """Attempt it, hand in what happened and return the result; None of one that waited too long in its lane, or was
        cancelled meanwhile."""
        if isinstance(recipient, Unsendable):
            answer = Answer(result=recipient.result)
            now = time.monotonic()
            attempt = Attempt(
                delivery=delivery,
                revision=recipient.revision,
                answer=answer,
                started_at=now,
                duration_seconds=0.0,
                error=recipient.error,
            )
        elif not await self._still_owed(delivery) or self._stale(delivery, recipient):
            return None
        else:
            attempt = await self._sender.attempt(delivery, recipient)
        await self._outcomes.put(attempt)
        return attempt.answer.result

    def _stale(self, delivery: Claimed, recipient: Recipient) -> bool:
        """Whether the lease might end before the attempt does; a quarter of it may always be waited."""
        waited = time.monotonic() - delivery.claimed_at
        return waited > max(self._lease_seconds - recipient.timeout_seconds - 1, self._lease_seconds / 4)

    async def _still_owed(self, delivery: Claimed) -> bool:
        """What has waited may speak of an account that was erased since; unknown while the database is away."""
        if time.monotonic() - delivery.claimed_at < _LOOK_AGAIN_SECONDS:
            return True
        try:
            return await self._queue.holds(delivery)
        except (SQLAlchemyError, OSError) as error:
            if not is_transient(error):
                raise
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimerParts:
    """What the claimer works with."""

    queue: QueueStore
    recipients: Recipients
    dispatcher: Dispatcher
    outcomes: OutcomeWriter
    wake: Wake
    health: Health


class Claimer:
    """The worker; `stop()` ends it."""

    def __init__(self, parts: ClaimerParts, *, poll_seconds: float) -> None:
        self._parts = parts
        self._poll_seconds = poll_seconds
        self._stopped = False
        self._terms_known_at = float("-inf")
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Claim until stopped; a database that is away is waited for."""
        failing = False
        while not self._stopped:
            await self._parts.wake.wait(_BACKOFF_SECONDS if failing else self._poll_seconds)
            self._parts.health.beat("claimer")
            if self._stopped:
                return
            self._idle.clear()
            try:
                await self.give_back(self._parts.dispatcher.take_stale())
                await self._renew_terms()
                await self._claim()
                failing = False
            except (SQLAlchemyError, OSError) as error:
                if not is_transient(error):
                    raise
                if not failing:
                    log.warning("claim_failed", error=type(error).__name__)
                failing = True
            finally:
                self._idle.set()

    async def stop(self, *, finish_seconds: float) -> None:
        """Claim nothing more, let what is on the wire end within this time, and give back what is left."""
        self._stopped = True
        self._parts.wake()
        await self._idle.wait()
        dispatcher = self._parts.dispatcher
        await self.give_back(dispatcher.take_back())
        try:
            await asyncio.wait_for(dispatcher.finish(), finish_seconds)
        except TimeoutError:
            await self.give_back(dispatcher.abandon())
        await self.give_back(dispatcher.take_stale())

    async def give_back(self, claims: list[Claimed]) -> None:
        """Release leases; when this fails they end by themselves."""
        if claims:
            with contextlib.suppress(SQLAlchemyError, OSError):
                await self._parts.queue.release(claims)

    async def _renew_terms(self) -> None:
        """What waits goes out as its endpoint is now, above all under its newest keys; or back, if it may not."""
        waiting = self._parts.dispatcher.queued()
        if not waiting or time.monotonic() < self._terms_known_at + _TERMS_SECONDS:
            return
        newest = await self._parts.recipients.newest(waiting)
        self._parts.dispatcher.renew(newest)
        await self.give_back(self._parts.dispatcher.withdraw(waiting.keys() - newest.keys()))
        self._terms_known_at = time.monotonic()

    async def _claim(self) -> None:
        queued, queued_bytes = self._parts.dispatcher.queued(), self._parts.dispatcher.queued_bytes
        full = sum(queued.values()) >= QUEUED_MAX or queued_bytes >= QUEUED_BYTES_MAX
        if full or self._parts.outcomes.congested:
            return
        shares = self._parts.dispatcher.shares()
        claims = await self._parts.queue.claim(queued, queued_bytes=queued_bytes, shares=shares)
        if claims:
            try:
                recipients = await self._parts.recipients.of(claims)
            except (SQLAlchemyError, OSError):
                await self.give_back(claims)
                raise
            self._parts.dispatcher.offer(claims, recipients, full=_full(claims, queued, shares))


def _full(claims: Iterable[Claimed], queued: Mapping[str, int], shares: Mapping[str, int]) -> set[str]:
    """Endpoints that got all they had room for: more of theirs may be due."""
    counts = Counter(claim.endpoint_id for claim in claims)
    return {id_ for id_, count in counts.items() if count + queued.get(id_, 0) >= shares.get(id_, CLAIM_MAX)}
