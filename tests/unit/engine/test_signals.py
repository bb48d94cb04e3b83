"""Signals as subscribers receive them, and what the read API tells."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.signals import Signal
from services.activation_engine.domain.description import describe
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.rows import plan_rows
from services.activation_engine.domain.signals import CandidateSignal, signal_id, to_payload
from tests.builders import SMALL_PLAN, command, day, event, plan, plan_set, traits
from tests.unit.engine.story import Story


def troubled() -> Story:
    """Acme: small, owned by Dana, set up in time, then nothing, stalled on its output."""
    story = Story(plan_set(version=3))
    story.happens(
        traits(segment="smb", name="Acme Inc", owner="dana@vendor.example", crm_id="0015"),
        event("Data Imported", day(0)),
        event("Page Viewed", day(10.5)),
    )
    story.until(14.5)
    return story


def stalled(story: Story) -> CandidateSignal:
    """The newest signal, which must be a stall."""
    assert story.signals[-1].type == "account.stalled"
    return story.signals[-1]


@pytest.mark.parametrize(
    ("names", "said", "measured"),
    [
        (["Page Viewed"], "Data is 7 days overdue", 0),
        (["Data Imported", "Report Made"], "nobody was active for 14 days", 14),
    ],
)
def test_a_trouble_that_is_found_late_is_told_as_of_its_time(names: list[str], said: str, measured: int) -> None:
    """By a plan that goes live months after the deadline by which the signal is dated."""
    story = Story(plan_set([]), begin=100)
    later = SMALL_PLAN.replace("milestones:", "milestones:\n  last: {when: never.sent}")
    story.take(plan_set([plan(later)], live_from=day(100)))
    story.happens(*(event(one, day(0), appended=day(100)) for one in names))
    story.until(100.1)
    told = stalled(story)
    assert said in told.summary
    assert told.evidence.measured == measured
    assert told.timestamp_ms < day(15)


def test_payload_is_the_contract() -> None:
    """Every field of a stall, with its evidence, in the published shape."""
    payload = to_payload(stalled(troubled()), traits=("crm_id",), account_link="https://crm.example/{account}")
    assert payload.pop("id")
    assert payload == {
        "type": "account.stalled",
        "timestamp": "2026-11-16T00:00:00Z",
        "summary": "Acme Inc stalled: Output is 7 days overdue (due 9 Nov 2026) and nobody was active for 3 days.",
        "account": {
            "id": "acme",
            "name": "Acme Inc",
            "segment": "smb",
            "owner": "dana@vendor.example",
            "traits": {"crm_id": "0015"},
        },
        "plan": {"id": "small", "version": 3},
        "milestone": {"id": "output", "title": "Output"},
        "status": {"from": "at_risk", "to": "stalled"},
        "reason": "milestone_overdue",
        "likely": "execution",
        "to": ["owner"],
        "due_at": "2026-11-09T00:00:00Z",
        "days_since_start": 14.0,
        "ttfv_days": None,
        "evidence": {
            "rule": "output due week 2 (smb, pace 0.5)",
            "measured": 0,
            "threshold": 1,
            "events": [],
            "also": [],
        },
        "next": "Output is reached by report.made.",
        "risk": None,
        "opportunity": None,
        "outcome": None,
        "links": {"account": "https://crm.example/acme"},
        "origin": "live",
        "late": False,
        "sequence": 4,
    }


def test_every_signal_fits_the_schema() -> None:
    """Nothing that the domain makes is refused by those who read it."""
    story = troubled()
    story.happens(event("Report Made", day(15)), event("Report Made", day(15)), event("Report Made", day(15)))
    for signal in story.signals:
        body = msgspec.json.encode(to_payload(signal, traits=("crm_id",)))
        read = msgspec.json.decode(body, type=Signal)
        assert (read.id, read.sequence) == (signal.id, signal.sequence)
    assert [one.sequence for one in story.signals] == list(range(1, len(story.signals) + 1))
    assert len({one.id for one in story.signals}) == len(story.signals)


def test_ids_never_change() -> None:
    """An id is for ever: a changed recipe would announce everything again."""
    assert signal_id("acme", "small", "output", "account.stalled", "1:0") == "5b886c8c-61fe-5208-aff7-e3e0955c4754"


def test_milestone_names_the_record_behind_it() -> None:
    """Evidence of what a record decides holds the id of that record."""
    story = Story()
    story.happens(event("Data Imported", day(1), message="the-one"))
    assert story.signals[-1].evidence.events == ("the-one",)


@pytest.mark.parametrize(
    ("mark", "rule"),
    [
        ("2026-11-02", "data dated by reached.data"),
        ("yes", "data when data.imported"),
        ("2026-11-03T00:00:01Z", "data when data.imported"),
        (None, "data when data.imported"),
    ],
)
def test_evidence_names_what_dated_a_milestone(mark: str | None, rule: str) -> None:
    """A trait that holds no date, or a later one than the event, has dated nothing."""
    story = Story(plan_set([plan(SMALL_PLAN + "applies_to: {product: crm}\n")]))
    story.happens(traits(day(1), reached__data=mark), event("Data Imported", day(1)))
    story.happens(traits(day(2), product="crm"))
    (reached,) = (one for one in story.signals if one.milestone_id == "data")
    assert reached.evidence.rule == rule


def test_explain_tells_what_would_change_it() -> None:
    """Text for people, values for programs: each milestone with its measure, threshold and time."""
    story = troubled()
    told = explain(story.accounts["acme"], story.plans, story.clock)
    one = told["plans"][0]
    assert (one["plan"], one["status"], one["reason"]) == ("small", "stalled", "milestone_overdue")
    assert one["next"] == "Output is reached by report.made."
    assert "Acme Inc is stalled under small (version 3) since 16 Nov 2026: Output is 7 days overdue" in told["text"]
    conditions = {row["milestone"]: row for row in one["conditions"]}
    assert list(conditions) == ["data", "output", "habit"]
    assert (conditions["data"]["met"], conditions["data"]["at"]) == (True, "2026-11-02T00:00:00Z")
    habit = conditions["habit"]
    assert (habit["met"], habit["measured"], habit["threshold"], habit["at"]) == (False, 0, 3, None)
    assert one["next_due_at"] is None


def told_of(story: Story) -> dict[str, Any]:
    """The explanation of acme under its only plan."""
    told: dict[str, Any] = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]
    return told


def test_explain_tells_why_it_came_there_and_what_holds_now() -> None:
    """The milestone behind a stall is reached since, by a late event: it stays the reason until a tick decides, and
    text and rules say alike that it does not hold any more."""
    story = Story()
    story.happens(traits(day(0), segment="smb", contract_start="2026-11-02"))
    assert story.until(11)[-1] == "stalled:data"
    story.happens(event("Data Imported", day(2), appended=day(11.1)))
    told = told_of(story)
    assert (told["status"], told["reason"], told["verdict"]) == ("stalled", "milestone_overdue", "at_risk")
    assert "since 12 Nov 2026: Data was overdue, and is reached now (4 Nov 2026); 1 of 2" in told["text"]
    by_now = "By what is known now it is at risk, because Output is 4 days overdue (due 9 Nov 2026); that is decided by"
    assert by_now in told["text"]
    assert told["next"] == "Output is reached by report.made."
    entered = told["entered_by"]
    assert (entered["milestone"], entered["at"], entered["holds"]) == ("data", rfc3339(day(10.5)), False)
    assert entered["text"] in told["text"]
    assert [(one["status"], one["milestone"]) for one in told["rules"]] == [("at_risk", "output")]
    story.until(11.2)
    told = told_of(story)
    assert (told["status"], told["verdict"], told["entered_by"]["holds"]) == ("at_risk", "at_risk", True)
    assert "By what is known" not in told["text"]


def test_explain_tells_what_keeps_an_account_in_trouble() -> None:
    """The first reason is over and another holds: no tick changes that."""
    story = Story()
    story.happens(traits(day(0), segment="smb", contract_start="2026-11-02"))
    story.until(15)
    story.happens(event("Data Imported", day(15.1)))
    story.until(15.2)
    told = told_of(story)
    assert (told["reason"], told["entered_by"]["holds"], told["verdict"]) == ("milestone_overdue", False, "stalled")
    assert "Data was overdue, and is reached now (17 Nov 2026)" in told["text"]
    assert "It stays stalled, because Output is 8 days overdue (due 9 Nov 2026)." in told["text"]


@pytest.mark.parametrize(
    ("before", "then", "was", "now"),
    [
        (
            event("Data Imported"),
            event(at=day(15.1)),
            "nobody was active for too long, which is over",
            "Output is reached",
        ),
        (traits(), command("waive", day(15.1), milestone="data"), "Data was overdue, and is waived now", "Output is"),
        (
            traits(),
            traits(day(15.1), contract_start="2026-11-10"),
            "Data was overdue, and is due 17 Nov 2026 now",
            "Data is",
        ),
    ],
)
def test_explain_of_what_is_over(before: Event, then: Event, was: str, now: str) -> None:
    """Used again, waived, begun later: by what is known now it is on track."""
    story = Story()
    story.happens(traits(contract_start="2026-11-02"), before)
    story.until(15)
    assert (story.status(), told_of(story)["entered_by"]["holds"]) == ("stalled", True)
    story.happens(then)
    told = told_of(story)
    assert f": {was}; " in told["text"]
    assert "By what is known now it is on track; that is decided by the next tick." in told["text"]
    assert told["next"].startswith(now)
    assert (told["entered_by"]["holds"], told["verdict"], told["rules"]) == (False, "on_track", [])
    story.until(15.2)
    assert (story.status(), told_of(story)["entered_by"]) == ("on_track", None)


def test_explain_gives_the_next_deadline() -> None:
    """For an account on track, the instant at which it would not be any more."""
    story = Story()
    story.happens(event("Page Viewed", day(0)))
    one = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]
    assert (one["status"], one["next_due_at"]) == ("on_track", "2026-11-12T00:00:00Z")
    assert one["escalates_at"] is None


def test_explain_tells_when_it_escalates_and_when_risks_may_open() -> None:
    """While nobody comes; once it has escalated, and in a pause, there is nothing to tell."""
    more = "escalate: {at: 20d}\nrisks: {silence: {quiet: anyone, for: 9d}}\n"
    story = Story(plan_set([plan(SMALL_PLAN + more)]))
    story.happens(event("Page Viewed", day(0)))
    story.until(1)
    told = told_of(story)
    # What was done last is known to the end of a step.
    assert (told["escalates_at"], told["risks"][0]["open"]) == ("2026-11-22T00:00:00Z", False)
    assert "2026-11-11T00" <= told["risks"][0]["looked_at_next"] < "2026-11-12"
    story.until(21)
    told = told_of(story)
    assert (told["escalates_at"], told["risks"][0]["open"]) == (None, True)
    story = Story(plan_set([plan(SMALL_PLAN + more)]))
    story.happens(event("Page Viewed", day(0)), command("pause", day(1), reason="holidays"))
    told = told_of(story)
    assert (told["escalates_at"], told["risks"][0]["looked_at_next"]) == (None, None)


def test_explain_of_combined_conditions() -> None:
    """`any` shows the part that came furthest, `all` how many parts hold; what a milestone waits for is named."""
    text = SMALL_PLAN.replace(
        "first_value: output",
        "  some: {when: {any: [{event: x.y, count: 4}, report.made]}, required: false}\n"
        "  every: {needs: [output], when: {all: [data, x.y]}, required: false}\n"
        "first_value: output",
    )
    story = Story(plan_set([plan(text)]))
    story.happens(event("x.y", day(0)), event("x.y", day(1)), event("Data Imported", day(1)))
    rows = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]["conditions"]
    conditions = {row["milestone"]: row for row in rows}
    assert (conditions["some"]["measured"], conditions["some"]["threshold"]) == (2, 4)
    assert [part["measured"] for part in conditions["some"]["parts"]] == [2, 0]
    assert (conditions["every"]["measured"], conditions["every"]["threshold"]) == (2, 2)
    assert (conditions["every"]["met"], conditions["every"]["waiting_for"]) == (False, ["output"])


def test_last_activity_lies_never_ahead() -> None:
    """Times are kept rounded up by the step of the plans of their day; shorter plans published later change nothing."""
    story = Story()
    story.happens(event("Data Imported", day(1) + 1, user="kim"))
    story.plans = plan_set([plan(SMALL_PLAN.replace("milestones:", "day: 2s\nmilestones:", 1))])
    told = describe(story.accounts["acme"], story.plans, story.clock)
    assert told["last_activity_at"] == rfc3339(day(1) + 1)
    assert [one["last_seen_at"] for one in told["people"]] == [rfc3339(day(1) + 1)]


def test_describe_has_every_field() -> None:
    """The account as `GET /v1/accounts/{id}` answers it."""
    story = troubled()
    story.happens(event("Report Made", day(15)))
    told = describe(story.accounts["acme"], story.plans, story.clock)
    assert told["traits"]["crm_id"] == "0015"
    assert told["last_activity_at"] == "2026-11-17T00:00:00Z"
    one = told["plans"][0]
    assert one["milestones"][1] == {
        "id": "output",
        "title": "Output",
        "required": True,
        "due_at": "2026-11-09T00:00:00Z",
        "reached_at": "2026-11-17T00:00:00Z",
        "superseded": False,
    }
    expected = {
        "plan": "small",
        "version": 3,
        "phase": "post_first_value",
        "status": "activated",
        "started_at": "2026-11-02T00:00:00Z",
        "first_value_at": "2026-11-17T00:00:00Z",
        "activated_at": "2026-11-17T00:00:00Z",
        "completion_rate": 1.0,
        "adoption": None,
        "risks": [],
        "opportunities": [],
    }
    assert {key: one[key] for key in expected} == expected
    assert (one["ttfv_days"]["gross"], one["ttfv_days"]["net"]) == (15.0, 15.0)
    row = plan_rows(story.accounts["acme"], story.plans)[0]
    assert (row.status, row.first_value_at_ms, row.reached) == (
        "activated",
        day(15),
        {"data": day(0), "output": day(15)},
    )


def test_no_plan_applies() -> None:
    """Then there is nothing to tell but traits."""
    story = Story(plan_set([]))
    story.happens(traits(name="Acme"))
    assert describe(story.accounts["acme"], story.plans, story.clock)["plans"] == []
    assert explain(story.accounts["acme"], story.plans, story.clock)["plans"] == []
