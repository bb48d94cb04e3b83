"""What is history and what is news: imports, new plan versions, plans that stop covering, and ids that never change."""

from __future__ import annotations

import msgspec
import pytest

from services.activation_engine.domain.account import AccountState, PlanState
from services.activation_engine.domain.event import InvalidBody
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.signals import is_history
from services.activation_engine.domain.watches import WatchState
from tests.builders import SMALL_PLAN, command, day, event, plan, plan_set, traits
from tests.fakes.oracle import Record
from tests.unit.engine.story import Story, tick


def test_ids_do_not_depend_on_when_ticks_come() -> None:
    """A deadline seen by an earlier or a later tick is the same deadline."""
    ids = []
    for ticked in (10, 10.2):
        story = Story()
        story.happens(event("Page Viewed", day(0)), event("Page Viewed", day(5)))
        story.until(9)
        story.clock = msgspec.structs.replace(story.clock, clock_ms=day(ticked) - 1)
        ids.append([one.id for one in story.take(tick(ticked))])
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1


@pytest.mark.parametrize(("deadline", "over"), [(day(5), True), (day(5) + 1, False)])
@pytest.mark.parametrize("known_from", ["enrolled", "judged", "live"])
def test_which_deadlines_are_history(known_from: str, deadline: int, over: bool) -> None:
    """History up to and including the moment at which account, start or plan version came up."""
    enrolled, judged, live = (day(5) if known_from == one else 0 for one in ("enrolled", "judged", "live"))
    state = AccountState.new("acme", enrolled)
    plan_state = PlanState(1, judged_from_ms=judged)
    assert is_history(state, plan_state, plan_set(live_from=live).live[0], deadline) == over


@pytest.mark.parametrize(("waited", "origin"), [(0, "live"), (11, "catch_up")])
def test_one_wrong_broker_clock_makes_no_history(waited: float, origin: str) -> None:
    """An append a year after the arrival is as new as the last tick; so is that of a record that waited on its way."""
    story = Story()
    story.until(waited)
    first, segment = event(at=day(0), appended=day(waited)), traits(day(0), appended=day(waited), segment="smb")
    for record in (first, segment):
        record.received_at_ms, record.appended_at_ms = day(0), day(waited or 365)
    story.happens(first, segment)
    assert story.until(12)[-1] == "stalled:data"
    assert {one.origin for one in story.signals if one.due_at_ms and one.status_from != one.status_to} == {origin}


WATCHED = (
    SMALL_PLAN
    + """
risks:
  alone: {quiet: anyone, for: 5d}
opportunities:
  talk: {after: a.x, until: a.y, open: 30d}
"""
)
ENDS = ["recovered:data", "risk_closed:alone", "opportunity_closed:talk:held"]


def in_trouble() -> Story:
    """At risk, with an open risk and an open opportunity on day 11."""
    story = Story(plan_set([plan(WATCHED)]))
    story.happens(traits(day(0), contract_start="2026-11-02"), event(at=day(0)), command("note", day(4), event="a.x"))
    assert story.until(11) == ["opportunity_opened:talk", "risk_opened:alone", "at_risk:data"]
    return story


@pytest.mark.parametrize("change", ["version", "start"])
def test_what_ends_has_the_origin_of_what_began(change: str) -> None:
    """Who heard that trouble began hears that it is over, whatever was published or corrected in between."""
    story = in_trouble()
    assert {one.origin for one in story.signals} == {"live"}
    if change == "version":
        story.take(plan_set([plan(WATCHED + "title: Another\n")], version=2, live_from=day(11)))
    else:
        story.happens(traits(day(11), contract_start="2026-11-01"))
    story.until(12)
    story.happens(event("Data Imported", day(13)), command("note", day(13), event="a.y"))
    assert story.until(13.1) == ENDS
    assert [one.origin for one in story.signals[-3:]] == ["live"] * 3


def test_the_end_of_history_is_history() -> None:
    """An import's trouble, risk and opportunity page nobody when they end either."""
    story = Story(plan_set([plan(WATCHED)]), begin=11)
    story.happens(traits(day(11), contract_start="2026-11-02"), event(at=day(0), appended=day(11)))
    assert story.until(11.1) == ["at_risk:data", "risk_opened:alone"]
    story.happens(event("Data Imported", day(11.2)))
    assert story.until(11.3) == ENDS[:2]
    told = [one for one in story.signals if one.milestone_id is None or one.reason]
    assert [one.origin for one in told[1:]] == ["catch_up"] * 4


def test_trouble_told_live_ends_live() -> None:
    """At risk live, stalled by a corrected start, which is history: its end is told to those who heard of the risk."""
    story = Story()
    story.happens(traits(day(0), contract_start="2026-11-02"), event(at=day(0)), event(at=day(9)))
    assert story.until(11) == ["at_risk:data"]
    story.happens(traits(day(11), contract_start="2026-10-29"))
    assert story.until(11.1) == ["stalled:data"]
    story.happens(event("Data Imported", day(11.5)))
    assert story.until(11.6) == ["recovered:data"]
    assert [one.origin for one in story.signals if one.reason] == ["live", "catch_up", "live"]


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


def test_unreadable_record_costs_no_announcement() -> None:
    """A record that is refused leaves a new version's announcements to the next one."""
    story = Story()
    story.happens(event("Data Imported", day(1)))
    changed = plan(SMALL_PLAN.replace("milestones:", "milestones:\n  first: {when: data.imported, required: false}"))
    story.take(plan_set([changed], version=2, live_from=day(1), policy="emit"))
    with pytest.raises(InvalidBody):
        story.take(msgspec.structs.replace(traits(), body=b"["))
    assert story.happens(event("Page Viewed", day(1))) == ["milestone_reached:first"]


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
    assert story.signals[-1].origin == "catch_up"


@pytest.mark.parametrize(("leave", "back"), [("close", "reopen"), ("move", "move")])
def test_deadlines_before_coming_back_are_history(leave: str, back: str) -> None:
    """Reopened or moved back long after a deadline, an account is judged, and nobody paged; later ones are live."""
    other = plan("plan: other\napplies_to: {x: y}\nmilestones: {x: {when: a.b}}\nfirst_value: x\n")
    story = Story(plan_set([plan(SMALL_PLAN + "risks: {alone: {quiet: anyone, for: 20d}}\n"), other]))
    story.happens(event("Data Imported", day(0)))
    story.happens(command(leave, day(1), reason="churned", plan="other"))
    assert story.until(40) == []
    story.happens(command(back, day(40), plan=None))
    assert story.until(40.1) == ["stalled:output", "risk_opened:alone"]
    assert {one.origin for one in story.signals[-2:]} == {"catch_up"}
    story.happens(event("Page Viewed", day(41)))
    assert story.until(62) == ["risk_closed:alone", "risk_opened:alone"]
    assert story.signals[-1].origin == "live"


def test_who_was_moved_follows_the_plan_that_goes_live_and_ends() -> None:
    """From then on that one alone covers the account; once it is retired, the others again, and what they missed is
    history."""
    small, other = plan(), plan(SMALL_PLAN.replace("plan: small", "plan: other"))
    story = Story(plan_set([small]))
    story.happens(event("Data Imported", day(0)), command("move", day(1), plan="other"))
    story.until(2)
    story.take(PlanSet.of([*story.plans.live, LivePlan(other, 1, day(2))]))
    assert story.until(15) == ["stalled:quiet"]
    assert (story.signals[-1].plan_id, story.status()) == ("other", "closed")
    story.take(plan_set([small]))
    assert story.until(15.1) == ["stalled:quiet"]
    assert (story.signals[-1].plan_id, story.signals[-1].origin) == ("small", "catch_up")
    assert story.accounts["acme"].plans["other"].reason == "left_plan"


def test_a_start_in_a_pause_is_told_on_its_day() -> None:
    """By a tick, before a version that goes live silently makes it history; nothing else is decided in the pause."""
    story = Story()
    story.happens(traits(day(0), contract_start="2026-11-05"), command("pause", day(1), reason="audit"))
    assert story.until(2.9) == []
    assert story.until(3) == ["activation_started"]
    assert story.signals[-1].timestamp_ms == day(3)
    assert story.accounts["acme"].plans["small"].shown == "paused"
    story.take(plan_set(version=2, live_from=day(3)))
    assert story.until(40) == []
    story.happens(command("resume", day(40)))
    assert story.until(49.9) == []
    assert story.until(50) == ["at_risk:data"]


def test_a_start_in_a_hold_is_news_after_it() -> None:
    """Ticks decide nothing in a hold, so a version that goes live silently leaves the start to the next one."""
    story = Story()
    story.happens(traits(day(0), contract_start="2026-11-05"))
    story.until(2.9)
    assert story.happens(tick(3.4)) == []
    assert story.clock.holding
    story.take(plan_set(version=2, live_from=day(3.4)))
    assert story.until(4) == ["activation_started"]
    assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(3), "live")


@pytest.mark.parametrize("policy", ["silent", "emit"])
def test_a_new_plan_tells_of_no_closing(policy: str) -> None:
    """Who was closed before is marked, and what it had reached by then is no news when it is reopened either."""
    story = Story(PlanSet.of(()))
    story.happens(traits(day(0), contract_start="2026-11-02", reached__data="2026-11-01"), event(at=day(0)))
    story.happens(command("close", day(5), reason="churned"))
    story.until(9)
    story.take(plan_set(live_from=day(9), policy="emit" if policy == "emit" else "silent"))
    assert story.happens(command("snooze", day(9), kind="at_risk", until="2026-12-24")) == []
    assert (story.status(), story.accounts["acme"].plans["small"].reason) == ("closed", "closed_by_hand")
    assert story.happens(event("Report Made", day(10))) == []
    assert story.happens(command("reopen", day(11))) == [
        "milestone_reached:output",
        "first_value_reached:output",
        "activated",
    ]
    assert story.happens(command("close", day(12), reason="churned")) == ["closed"]


def test_an_end_of_what_began_before_origins_were_kept() -> None:
    """In rows of before, what is over is told as its opening was: by the deadline and the moment of opening."""
    story = Story(plan_set([plan(WATCHED)]), begin=11)
    story.happens(traits(day(11), contract_start="2026-11-02"), event(at=day(0), appended=day(11)))
    story.until(11.1)
    known = story.accounts["acme"].plans["small"]
    known.catch_up = PlanState(1).catch_up
    for one in known.watches.values():
        one.catch_up = WatchState().catch_up
    story.happens(event("Data Imported", day(11.2)))
    assert story.until(11.3) == ENDS[:2]
    assert [one.origin for one in story.signals[-2:]] == ["catch_up"] * 2
