"""What records decide at once, what only ticks decide, and which signals that makes."""

from __future__ import annotations

import msgspec

from services.activation_engine.domain.ticking import apply_tick
from tests.builders import DAY_MS, SMALL_PLAN, day, event, plan, plan_set, traits
from tests.fakes.oracle import Oracle, Tick
from tests.unit.engine.story import Story, named, tick


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


def test_use_before_the_start_makes_nobody_quiet() -> None:
    """A trial of long ago is no silence on the day on which the contract begins; it is one after so long of it."""
    story = Story()
    story.happens(traits(day(0), contract_start="2026-12-02"), event("Data Imported", day(0)))
    assert story.until(30) == ["activation_started"]
    assert story.until(43.9) == []
    assert story.until(44) == ["stalled:quiet"]
    (stall,) = (one for one in story.signals if one.type == "account.stalled")
    assert stall.summary == "acme stalled: nobody was active since the start, 14 days ago."
    assert (stall.evidence.measured, stall.evidence.threshold) == (14, 14)


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


def test_a_tick_in_a_hold_leaves_the_account_alone() -> None:
    """Not even the next check moves."""
    story = Story()
    story.happens(event("Page Viewed", day(0)))
    state = story.accounts["acme"]
    held = msgspec.structs.replace(story.clock, clock_ms=day(30), hold_until_ms=day(30) + 1)
    planned = state.next_check_ms
    assert list(apply_tick(state, story.plans, held)) == []
    assert state.next_check_ms == planned
    assert named(list(apply_tick(state, story.plans, msgspec.structs.replace(held, hold_until_ms=0)))) == [
        "stalled:data"
    ]


def test_late_activity_disproves_silence() -> None:
    """Use of the product before the deadline that arrives after it."""
    story = Story()
    story.happens(event("Data Imported", day(0)))
    assert story.until(14.3) == ["stalled:quiet"]
    story.happens(event("Page Viewed", day(13), appended=day(14.3)))
    assert story.until(14.4) == ["recovered:quiet"]
    assert story.signals[-1].late


def test_a_start_slightly_ahead_of_the_clock_stays_begun() -> None:
    """A client's clock may run ahead of the ticks: what a record began, no tick takes back."""
    story = Story()
    told = story.happens(event("Page Viewed", day(0) + 60_000, appended=day(0) + 60_000))
    assert told == ["activation_started"]
    state = story.accounts["acme"]
    state.check_by(day(0))
    assert story.happens(Tick(day(0) + 10_000, day(0) + 10_000, day(0))) == []
    assert story.status() == "on_track"


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


def test_value_before_the_start_takes_no_time() -> None:
    """Time to first value is never negative."""
    story = Story()
    story.happens(event("Data Imported", day(0)), event("Report Made", day(0)))
    story.happens(traits(day(1), contract_start="2026-11-03"))
    assert next(one for one in story.signals if one.type == "account.first_value_reached").ttfv_days == 0


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
