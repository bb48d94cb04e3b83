"""What records decide at once, what only ticks decide, and which signals that makes."""

from __future__ import annotations

import msgspec
import pytest

from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.signals import CandidateSignal
from tests.builders import DAY_MS, HOUR_MS, SMALL_PLAN, day, event, plan, plan_set, traits
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
        """Tick up to that day; what was announced, as `type` or `type:milestone or reason`."""
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
    return [
        one.type.removeprefix(TYPE) + (f":{one.milestone_id or one.reason}" if one.milestone_id or one.reason else "")
        for one in signals
    ]


def test_records_decide_milestones_at_once() -> None:
    """Start, milestones, first value and activation are announced by the record that brings them."""
    story = Story()
    assert story.happens(event("Page Viewed", day(0))) == ["activation_started"]
    assert story.happens(event("Data Imported", day(1))) == ["milestone_reached:data"]
    assert story.happens(event("Report Made", day(2))) == [
        "milestone_reached:output",
        "first_value_reached:output",
        "activated",
    ]
    assert story.status() == "activated"
    assert story.happens(event("Report Made", day(3)), event("Report Made", day(4))) == ["milestone_reached:habit"]
    assert story.until(100) == []
    assert [one.sequence for one in story.signals] == [1, 2, 3, 4, 5, 6]


def test_repeated_records_announce_nothing() -> None:
    """The same event again, and an earlier one that only corrects the date."""
    story = Story()
    story.happens(event("Data Imported", day(5)))
    assert story.happens(event("Data Imported", day(6))) == []
    assert story.happens(event("Data Imported", day(1), appended=day(6))) == []
    assert story.accounts["acme"].plans["small"].reached["data"] == day(1)


def test_trouble_comes_at_ticks_only() -> None:
    """At risk past the grace, stalled past `overdue`, recovered at the tick after what clears it."""
    story = Story()
    story.happens(traits(segment="large"), event("Page Viewed", day(0)))
    assert story.until(9.9) == []
    assert story.until(10) == ["at_risk:data"]
    assert story.happens(event("Page Viewed", day(10))) == []
    assert story.until(13.9) == []
    assert story.until(14) == ["stalled:data"]
    stalled = story.signals[-1]
    assert (stalled.timestamp_ms, stalled.due_at_ms, stalled.status_from) == (day(14), day(7), "at_risk")
    assert (stalled.evidence.measured, stalled.evidence.threshold) == (0, 1)
    assert story.happens(event("Data Imported", day(14.1))) == ["milestone_reached:data"]
    assert story.status() == "stalled"
    assert story.until(14.2) == ["recovered:data"]
    assert not story.signals[-1].late
    assert story.status() == "on_track"


def test_pace_of_the_segment_moves_due_times() -> None:
    """Half the pace value, half the time; a fixed grace."""
    story = Story()
    story.happens(traits(segment="smb"), event("Page Viewed", day(0)))
    assert story.until(6.4) == []
    assert story.until(6.6) == ["at_risk:data"]
    assert story.signals[-1].timestamp_ms == day(6.5)


def test_quiet_counts_from_the_last_activity() -> None:
    """Only accounts that were ever active can go quiet."""
    story = Story()
    story.happens(event("Data Imported", day(0)), event("Report Made", day(0), account="other"))
    story.happens(traits(contract_start="2026-11-02", account="silent"))
    assert story.until(13.9) == ["at_risk:data", "at_risk:data"]
    assert "stalled:quiet" in story.until(14.3)
    quiet = next(one for one in story.signals if one.reason == "quiet")
    assert quiet.account_id == "acme"
    assert day(14) <= quiet.timestamp_ms < day(14.25)
    assert story.happens(event("Page Viewed", day(15))) == []
    assert story.until(15.1) == ["recovered:quiet"]


def test_stalled_to_at_risk_is_silent() -> None:
    """Getting better without being well is not announced; being well is."""
    story = Story()
    story.happens(event("Data Imported", day(0)), event("Page Viewed", day(2)))
    assert story.until(17.02) == ["stalled:quiet"]
    story.happens(event("Page Viewed", day(17.05)))
    assert story.until(17.1) == []
    assert (story.status(), story.accounts["acme"].plans["small"].reason) == ("at_risk", "milestone_overdue")
    assert story.happens(event("Report Made", day(18))) == [
        "milestone_reached:output",
        "first_value_reached:output",
        "activated",
    ]
    assert story.until(30) == []


def test_late_event_disproves_a_stall() -> None:
    """What happened in time but arrived after the stall recovers it with `late`."""
    story = Story()
    story.happens(event("Page Viewed", day(0)), event("Page Viewed", day(12)))
    assert story.until(15) == ["at_risk:data", "stalled:data"]
    story.happens(event("Data Imported", day(6), appended=day(15)))
    assert story.until(15.1) == ["recovered:data"]
    assert story.signals[-1].late


def test_nothing_fires_in_a_hold() -> None:
    """A deadline in a hole waits for its end and the hold, and the hole moves every due time."""
    story = Story()
    story.happens(event("Page Viewed", day(0)))
    story.until(9.9)
    story.take(tick(10.4))
    assert story.clock.holding
    assert story.until(10.88) == []
    assert story.until(10.92) == ["at_risk:data"]
    assert story.signals[-1].timestamp_ms == day(10.5)


def test_a_stopped_log_invents_no_stall() -> None:
    """Weeks without ticks are no time at all for the account."""
    story = Story()
    story.happens(event("Data Imported", day(0)))
    assert story.happens(tick(60), tick(60.001)) == []
    assert story.status() == "on_track"


def test_future_start_begins_at_a_tick() -> None:
    """Not started until the contract begins, then announced with its date."""
    story = Story()
    assert story.happens(traits(contract_start="2026-11-05", segment="smb")) == []
    assert story.status() == "not_started"
    assert story.until(2.9) == []
    assert story.until(3) == ["activation_started"]
    assert story.signals[-1].timestamp_ms == day(3)


def test_changed_start_recomputes_dues() -> None:
    """A contract that begins later takes an account out of trouble; deadlines before the change are history."""
    story = Story()
    story.happens(event("Page Viewed", day(0)))
    assert story.until(11) == ["at_risk:data"]
    story.happens(traits(day(11), contract_start="2026-11-12"))
    assert story.until(11.1) == ["recovered:data"]
    story.happens(traits(day(12), contract_start="2026-11-01"))
    assert story.until(12.1) == ["at_risk:data"]
    assert story.signals[-1].origin == "catch_up"


def test_import_of_an_old_customer_pages_nobody() -> None:
    """Starts and milestones long before the first record, and deadlines before it, are `catch_up`."""
    story = Story(begin=100)
    story.happens(
        traits(day(100), contract_start="2026-11-02", reached__data="2026-11-20"),
        event("Page Viewed", day(100)),
    )
    assert story.until(100.1) == ["stalled:output"]
    assert {one.type: one.origin for one in story.signals} == {
        "account.activation_started": "catch_up",
        "account.milestone_reached": "catch_up",
        "account.stalled": "catch_up",
    }
    assert story.happens(event("Report Made", day(101)))[0] == "milestone_reached:output"
    assert story.signals[-1].origin == "live"


def test_recent_history_is_live() -> None:
    """Up to seven plan days before the first record."""
    story = Story(begin=10)
    story.happens(event("Data Imported", day(3), appended=day(10)))
    assert {one.origin for one in story.signals} == {"live"}


def test_value_before_the_start_takes_no_time() -> None:
    """Time to first value is never negative."""
    story = Story()
    story.happens(event("Data Imported", day(0)), event("Report Made", day(0)))
    story.happens(traits(day(1), contract_start="2026-11-03"))
    assert next(one for one in story.signals if one.type == "account.first_value_reached").ttfv_days == 0


@pytest.mark.parametrize(("policy", "told"), [("silent", []), ("emit", ["milestone_reached:first"])])
def test_new_version_meets_old_accounts(policy: str, told: list[str]) -> None:
    """What old facts reach under a new version is marked, and announced only when published so."""
    story = Story()
    story.happens(event("Data Imported", day(1)))
    changed = plan(SMALL_PLAN.replace("milestones:", "milestones:\n  first: {when: data.imported, required: false}"))
    live = plan_set([changed], version=2, live_from=day(2), policy="emit" if policy == "emit" else "silent")
    story.take(live)
    assert story.until(2.1) == told
    assert all(one.origin == "plan_change" for one in story.signals if one.milestone_id == "first")
    state = story.accounts["acme"].plans["small"]
    assert (state.version, set(state.reached)) == (2, {"data", "first"})
    assert story.happens(event("Page Viewed", day(3))) == []


def test_republished_plan_mints_the_same_ids() -> None:
    """Ids never depend on the version, so a replay under a copy announces nothing twice."""
    records: list[Record] = [event("Data Imported", day(1)), event("Report Made", day(2)), tick(3)]
    first, second = Story(plan_set()), Story(plan_set(version=9))
    first.happens(*records)
    second.happens(*records)
    assert [one.id for one in first.signals] == [one.id for one in second.signals]


def test_silent_version_still_judges_by_the_clock() -> None:
    """Deadlines that were over when the version went live are history, later ones are not."""
    story = Story(PlanSet.of(()))
    story.happens(event("Page Viewed", day(0)), event("Page Viewed", day(11)))
    story.until(11)
    story.take(plan_set(live_from=day(11)))
    assert story.until(11.1) == ["at_risk:data"]
    assert story.signals[-1].origin == "catch_up"
    assert story.until(14) == ["stalled:data"]
    assert story.signals[-1].origin == "live"


def test_leaving_and_returning() -> None:
    """An account that a plan stops covering is closed without a word, frozen, and goes on when it is covered again."""
    story = Story(plan_set([plan(SMALL_PLAN + "applies_to: {product: crm}\n")]))
    assert story.happens(event("Data Imported", day(0))) == []
    assert story.accounts["acme"].plans == {}
    assert story.happens(traits(day(1), product="crm")) == ["activation_started", "milestone_reached:data"]
    assert story.happens(traits(day(2), product="erp")) == []
    assert (story.status(), story.accounts["acme"].plans["small"].reason) == ("closed", "left_plan")
    assert story.until(30) == []
    assert story.happens(traits(day(30), product="crm")) == []
    assert story.until(30.1) == ["stalled:output"]


def test_scaled_day() -> None:
    """With a day of 800 ms the same plan runs through in seconds."""
    story = Oracle(plan_set([plan(SMALL_PLAN + "day: 800ms\n")]))
    story.take(Tick(day(0), day(0), day(0)))
    story.take(event("Page Viewed", day(0)))
    told = [one for at in range(0, 20_000, 100) for one in story.take(Tick(day(0) + at, day(0) + at, day(0) + at))]
    assert [(one.type, one.timestamp_ms - day(0)) for one in told] == [
        ("account.at_risk", 8_000),
        ("account.stalled", told[1].timestamp_ms - day(0)),
    ]
    assert "due day 7" in told[0].summary
    assert DAY_MS > told[1].timestamp_ms - day(0) >= 11_200


def test_events_that_change_nothing_write_nothing() -> None:
    """Neither a milestone reached already nor activity within the rounding makes a state dirty."""
    story = Story()
    story.happens(event("Data Imported", day(0)))
    state = story.accounts["acme"]
    state.dirty = False
    story.happens(event("Data Imported", day(0) + 5), event("Unknown", day(0) + 9), event("x", kind="identify"))
    assert not state.dirty
    story.happens(event("Page Viewed", day(1)))
    assert state.dirty
