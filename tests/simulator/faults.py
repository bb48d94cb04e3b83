"""What may go wrong, how often, and where: every choice is a throw of the world's dice."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

# The places of the protocol at which engines are made to die, besides any step between them: `asked` while the question
# is on its way to the server, `done` while the answer is.
PLACES = (
    "assigned",  # A1
    "claim.asked",  # A2
    "claim.done",
    "log.asked",  # A3
    "log.done",
    "plan_content.asked",
    "plan_content.done",
    "polled",  # B1
    "load_accounts.asked",  # B3
    "load_accounts.done",
    "load_due.asked",
    "load_due.done",
    "known_signals.asked",  # B4
    "known_signals.done",
    "commit.asked",  # B5
    "commit.done",
    "commit.answered",  # B6
    "offsets.asked",  # B7
    "read_ledger.asked",  # the relay
    "read_ledger.done",
    "produce.asked",
    "produce.done",
    "produce.answered",
    "revoked",
)


class Fate(Enum):
    """What becomes of a request."""

    ANSWERED = "done and answered"
    LOST = "never done, and the sender sees an error"
    UNANSWERED = "done, and the sender sees an error"
    LATE = "done long after the sender saw an error"
    TWICE = "done twice, answered once"
    SILENT = "done late, and the sender hears nothing at all"


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Probabilities per request, and mean seconds between events of the world; 0 is never."""

    # Steps that an engine takes until it is killed, when it is not doomed to die at a certain place.
    life_steps: int = 100
    doomed: float = 0.5
    # Lives of ten times as many steps.
    long_lives: float = 0.1
    calls: dict[Fate, float] = field(
        default_factory=lambda: {Fate.LOST: 0.01, Fate.UNANSWERED: 0.015, Fate.LATE: 0.015}
    )
    produces: dict[Fate, float] = field(
        default_factory=lambda: {
            Fate.LOST: 0.03,
            Fate.UNANSWERED: 0.04,
            Fate.LATE: 0.04,
            Fate.TWICE: 0.04,
            Fate.SILENT: 0.01,
        }
    )
    # Reads of Kafka outside the group that find no broker, and polls that return records of an earlier place.
    reads_fail: float = 0.02
    strays: float = 0.1
    pauses_seconds: float = 4
    stops_seconds: float = 10
    outages_seconds: float = 25
    failovers_seconds: float = 0
    standby_lag_seconds: float = 0.3
    notifier_deaths_seconds: float = 3


@dataclass
class Faults:
    """The dice of one world; `active` until its end, when everything has to go well."""

    dice: random.Random
    rates: Rates
    active: bool = True
    crashes: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)

    def chance(self, probability: float) -> bool:
        """Whether something with this probability happens."""
        return self.active and self.dice.random() < probability

    def seconds(self, mean: float) -> float:
        """A time to wait."""
        return self.dice.random() * 2 * mean

    def fate(self, odds: dict[Fate, float], what: str) -> Fate:
        """What becomes of this request."""
        drawn = self.dice.random()
        for fate, probability in odds.items():
            drawn -= probability
            if drawn < 0 and self.active:
                self.happened[f"{what} {fate.name}"] += 1
                return fate
        return Fate.ANSWERED
