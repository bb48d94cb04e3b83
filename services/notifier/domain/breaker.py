"""When an endpoint is left alone: after failures in a row, or when half of its newest attempts failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.notifier.domain.endpoint_limit import remember

FAILURES_IN_ROW_MAX = 5
# The first pause; the next ones double, up to thirty times it (15 min).
PAUSE_SECONDS = 30.0
PAUSE_GROWTH_MAX = 30

WINDOW_ATTEMPTS = 20
_ALL = (1 << WINDOW_ATTEMPTS) - 1


@dataclass(slots=True)
class Window:
    """The newest attempts at one endpoint, a bit each, set where one failed; all at the same revision of it."""

    failed: int = 0
    seen: int = 0
    revision: int = 0

    def add(self, *, failed: bool, revision: int) -> bool:
        """Take an attempt in; whether half of a full window failed now, after which it begins anew. It also begins anew
        with the first attempt at a newer revision, and those at older ones do not count."""
        if revision < self.revision:
            return False
        if revision > self.revision:
            self.failed, self.seen, self.revision = 0, 0, revision
        self.failed = ((self.failed << 1) | failed) & _ALL
        self.seen = min(self.seen + 1, WINDOW_ATTEMPTS)
        tripping = self.seen == WINDOW_ATTEMPTS and 2 * self.failed.bit_count() >= WINDOW_ATTEMPTS and failed
        if tripping:
            self.failed = self.seen = 0
        return tripping


@dataclass(slots=True)
class Windows:
    """Those of all endpoints; the ones of endpoints that were not attempted for longest are forgotten."""

    _kept: dict[str, Window] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, endpoint_id: str, *, failed: bool, revision: int) -> bool:
        """Take an attempt into the endpoint's window; whether half of it failed now."""
        window = self._kept.get(endpoint_id) or Window()
        remember(self._kept, endpoint_id, window)
        return window.add(failed=failed, revision=revision)
