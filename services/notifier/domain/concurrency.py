"""How many requests may be at one endpoint at once: fewer when it is overloaded, more as it copes."""

from __future__ import annotations

from dataclasses import dataclass

from services.notifier.domain.outcome import Result

SLOW_SECONDS = 2.0
_OVERLOADED = frozenset({Result.TIMEOUT, Result.HTTP_429, Result.HTTP_5XX})
_MEAN_SHARE = 0.2
# So many failures in a row open the breaker; the first success after them begins anew.
_STREAK = 5


@dataclass(slots=True)
class Concurrency:
    """The limit as TCP's congestion window has it: doubled per round trip up to `calm_below`, then one more per round
    trip, halved at most once per round trip. Begins at 1, so that a restart meets no endpoint with a full burst."""

    limit: float = 1.0
    calm_below: float = float("inf")
    mean_seconds: float = 0.0
    failures: int = 0
    cut_at: float = float("-inf")

    @property
    def troubled(self) -> bool:
        """Whether the endpoint fails or is slow, and so shares half of all permits with its like."""
        return self.failures > 0 or self.mean_seconds > SLOW_SECONDS

    @property
    def per_second(self) -> float:
        """About how many it takes in a second; 0 before the first attempt."""
        return self.limit / self.mean_seconds if self.mean_seconds else 0.0

    def observe(self, result: Result, *, started_at: float, ended_at: float, cap: int) -> None:
        """Take in an attempt that began and ended at these monotonic seconds."""
        self.mean_seconds += _MEAN_SHARE * (ended_at - started_at - self.mean_seconds)
        if result is Result.HTTP_2XX:
            if self.failures >= _STREAK:
                self.limit, self.calm_below, self.mean_seconds = 1.0, float("inf"), 0.0
            self.failures = 0
            self.limit = min(self.limit + (1 if self.limit < self.calm_below else 1 / self.limit), cap)
        elif result is not Result.INTERNAL:
            self.failures += 1
            if result in _OVERLOADED and started_at >= self.cut_at:
                self.cut_at = ended_at
                self.calm_below = max(self.limit / 2, 1.0)
                self.limit = self.calm_below
