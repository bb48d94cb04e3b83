"""How fast an endpoint may be sent to: so many requests a second, after a burst."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """A bucket of `burst` permits that fills by `per_second`; times are monotonic seconds.

    Kept as the instant at which the bucket will be full again, so that waiting needs no upkeep (the generic cell rate
    algorithm of ATM networks, ITU-T I.371). In any t seconds at most `burst + per_second * t` permits are given.
    """

    per_second: float
    burst: int
    full_at: float = float("-inf")

    def wait_seconds(self, now: float) -> float:
        """Until a permit is there; 0 when one is."""
        return max(0.0, self.full_at - now - (self.burst - 1) / self.per_second)

    def take(self, now: float) -> None:
        """Use a permit."""
        self.full_at = max(self.full_at, now) + 1 / self.per_second
