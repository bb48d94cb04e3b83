"""When a failed delivery is tried again, and when it is given up."""

from __future__ import annotations

from dataclasses import dataclass, replace

# Seconds after each failure: the example schedule of the Standard Webhooks specification, 10 attempts in 75 h 35 min.
SLOTS_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
DEADLINE_SECONDS = 96 * 3600.0

JITTER_SHARE = 0.2
JITTER_SECONDS_MIN = 2.0
JITTER_SECONDS_MAX = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Pauses after the first, second, … failure that counts, and the age at which a delivery is given up."""

    slots_seconds: tuple[float, ...] = SLOTS_SECONDS
    deadline_seconds: float = DEADLINE_SECONDS

    def slot(self, failures: int) -> float | None:
        """The pause after `failures` counted failures (at least 1), or None when the schedule is used up."""
        return self.slots_seconds[failures - 1] if failures <= len(self.slots_seconds) else None

    def with_slots(self, slots_seconds: tuple[float, ...] | None) -> Schedule:
        """The same deadline with an endpoint's own pauses; itself without any."""
        return self if slots_seconds is None else replace(self, slots_seconds=slots_seconds)


def delay_seconds(floor_seconds: float, chance: float) -> float:
    """`floor_seconds` and up to a fifth of it, at least 2 s and at most 15 min; never earlier than the floor.

    `chance` is uniform in [0, 1): it spreads the retries of deliveries that failed together.
    """
    spread = min(max(JITTER_SHARE * floor_seconds, JITTER_SECONDS_MIN), JITTER_SECONDS_MAX)
    return floor_seconds + chance * spread
