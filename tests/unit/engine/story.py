"""A story told to the oracle: records happen, days pass, and what is announced comes back in short form."""

from __future__ import annotations

import msgspec

from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.signals import CandidateSignal
from tests.builders import HOUR_MS, day, plan_set
from tests.fakes.oracle import Oracle, Record, Tick

TYPE = "account."


def tick(number: float) -> Tick:
    """A tick on that day, with events seen right before it."""
    return Tick(day(number), day(number), day(number))


class Story(Oracle):
    """The oracle with a clock that ticks often enough to leave no hole."""

    def __init__(self, plans: PlanSet | None = None, *, begin: float = 0) -> None:
        super().__init__(plans or plan_set())
        self.take(tick(begin))

    def until(self, number: float) -> list[str]:
        """Tick up to that day; what was announced, as `type`, `type:milestone or reason or watch`, `…:outcome`."""
        told: list[CandidateSignal] = []
        assert self.clock.clock_ms is not None
        quietly = msgspec.structs.replace(self.clock, clock_ms=day(number) - 1)
        for at in range(self.clock.clock_ms + HOUR_MS, day(number), HOUR_MS):
            # An hour's step is no hole here: the clock is put right in front of each tick.
            self.clock = msgspec.structs.replace(quietly, clock_ms=at - 1, last_event_at_ms=at)
            told += self.take(Tick(at, at, at))
        self.clock = msgspec.structs.replace(quietly, last_event_at_ms=day(number))
        told += self.take(tick(number))
        return named(told)

    def happens(self, *records: Record) -> list[str]:
        """Take records; what was announced."""
        return named([signal for record in records for signal in self.take(record)])

    def status(self) -> str:
        """Of the account acme under its only plan."""
        return self.accounts["acme"].plans["small"].status


def named(signals: list[CandidateSignal]) -> list[str]:
    """Short names of signals."""
    return [":".join(filter(None, (one.type.removeprefix(TYPE), _about(one), one.outcome))) for one in signals]


def _about(one: CandidateSignal) -> str | None:
    return one.risk or one.opportunity or one.milestone_id or one.reason
