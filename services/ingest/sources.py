"""What one source, which is a key that writes events, may do: its pace, its limits, what it must not tell."""

from __future__ import annotations

import math
import time
from typing import Final, NamedTuple

import msgspec

from services.ingest.redaction import Redaction, Redactor
from services.runtime.access import Principal
from services.runtime.problems import Problem

BURST_SECONDS_DEFAULT: Final = 10.0
SOURCES_MAX = 10_000
_WAIT_SECONDS_MAX: Final = 86_400.0


class Quota(msgspec.Struct, frozen=True, omit_defaults=True):
    """Events and inflated bytes per second and replica, None for no bound; `burst_seconds` of both may come at once."""

    events_per_second: float | None = None
    bytes_per_second: float | None = None
    burst_seconds: float = BURST_SECONDS_DEFAULT


class OwnLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """In place of the settings of the same names; None for those."""

    body_bytes_max: int | None = None
    event_bytes_max: int | None = None
    events_max: int | None = None


class SourceRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document beside a key."""

    quota: Quota = Quota()
    limits: OwnLimits = OwnLimits()
    redaction: Redaction = Redaction()


NO_RULES: Final = SourceRules()

encode_rules = msgspec.json.Encoder().encode
_decode_rules = msgspec.json.Decoder(SourceRules).decode


def decode_rules(document: str | None) -> SourceRules:
    """The rules of a key as they are stored."""
    return NO_RULES if document is None else _decode_rules(document)


class Bucket:
    """Tokens that come back at `rate_per_s`; it may be overdrawn once, so that no request is too large for ever."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate_per_s: float, burst_seconds: float, *, now: float) -> None:
        self._rate = rate_per_s
        self._burst = max(1.0, rate_per_s * burst_seconds)
        self._tokens = self._burst
        self._at = now

    def wait_seconds(self, now: float) -> float:
        """Until something may be taken, or it is worth to ask again; 0 if at once."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._tokens > 0 else min(-self._tokens / self._rate + 1e-3, _WAIT_SECONDS_MAX)

    def take(self, amount: float) -> None:
        """Use up so much; less than nothing gives back."""
        self._tokens -= amount


class Source(NamedTuple):
    """A key's rules and the pace that they leave it."""

    document: str | None
    rules: SourceRules
    events: Bucket | None
    bytes: Bucket | None
    redactor: Redactor | None

    def admit(self, now: float) -> None:
        """Raises Problem 429 `quota_exceeded` while the source is over its quota."""
        if self.events is None and self.bytes is None:
            return
        wait = max((bucket.wait_seconds(now) for bucket in (self.events, self.bytes) if bucket is not None), default=0)
        if wait > 0:
            seconds = str(max(1, math.ceil(wait)))
            # Seconds from now in both: so the browser library of Segment reads the second.
            headers = {"retry-after": seconds, "x-ratelimit-reset": seconds}
            raise Problem(429, "quota_exceeded", f"This key is over its quota; go on in {seconds} s.", headers=headers)

    def spend(self, now: float, *, events: int, body_bytes: int) -> None:
        """Count what is taken in; raises as `admit` does: others may have used it up since this one was admitted."""
        self.admit(now)
        if self.events is not None:
            self.events.take(events)
        if self.bytes is not None:
            self.bytes.take(body_bytes)

    def give_back(self, *, events: int, body_bytes: int) -> None:
        """What was spent on something that comes again, because it was not taken in after all."""
        if self.events is not None:
            self.events.take(-events)
        if self.bytes is not None:
            self.bytes.take(-body_bytes)


class Sources:
    """The sources by key; what is remembered of a pace ends when the rules of its key change."""

    def __init__(self, *, secret: str) -> None:
        self._secret = secret
        self._sources: dict[str, Source] = {}

    def of(self, principal: Principal) -> Source:
        """The source that `principal` is."""
        found = self._sources.get(principal.key_id)
        if found is None or found.document != principal.rules:
            if len(self._sources) >= SOURCES_MAX:
                self._sources.clear()
            found = self._sources[principal.key_id] = _new_source(principal.rules, self._secret)
        return found


def _new_source(document: str | None, secret: str) -> Source:
    rules, now = decode_rules(document), time.monotonic()
    quota = rules.quota
    events, size = quota.events_per_second, quota.bytes_per_second
    return Source(
        document,
        rules,
        None if events is None else Bucket(events, quota.burst_seconds, now=now),
        None if size is None else Bucket(size, quota.burst_seconds, now=now),
        None if rules.redaction == Redaction() else Redactor(rules.redaction, secret=secret),
    )
