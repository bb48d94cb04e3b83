"""The ordered rules of status, one situation a line."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.activation_engine.domain.activity import Activity
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.likely import likely
from services.activation_engine.domain.status import Standing, judge, next_check, phase
from services.activation_engine.domain.timers import Hole
from tests.builders import DAY_MS, day, plan

PLAN = plan(
    """
plan: ruled
segments: {smb: {pace: 1, window: 45d}, else: smb}
at_risk_after: {smb: 20d}
grace: 3d
milestones:
  setup: {due: week 1, when: a.b}
  value: {due: week 4, when: c.d}
  extra: {due: week 1, when: e.f, required: false}
  undated: {when: g.h}
first_value: value
stalled: {overdue: 7d, quiet: 14d}
"""
)
ALL = {"setup": day(1), "value": day(2), "undated": day(3)}


def standing(
    reached: dict[str, int] | None = None,
    *,
    start: float | None = 0,
    begun: bool = True,
    active: float | None = 0,
    holes: tuple[Hole, ...] = (),
) -> Standing:
    """Started on day 0 and active on day 0, unless said otherwise."""
    return Standing(
        plan=PLAN,
        segment=PLAN.segments["smb"],
        start_ms=None if start is None else day(start),
        begun=begun,
        reached=reached or {},
        activity=Activity() if active is None else Activity(day(0), day(active)),
        still=holes,
    )


SET_UP = {"setup": day(1)}
VALUED = {"setup": day(1), "value": day(2)}
HOLE = ((day(5), day(9)),)


@pytest.mark.parametrize(
    ("situation", "clock", "status", "reason", "next_due"),
    [
        (standing(ALL), 400, "activated", None, None),
        (standing(ALL, start=None, begun=False), 5, "activated", None, None),
        (standing(start=None, begun=False), 5, "not_started", None, None),
        (standing(start=9, begun=False), 5, "not_started", None, 9),
        (standing(), 9.99, "on_track", None, 10),
        (standing(), 10, "at_risk", "milestone_overdue", 14),
        (standing(active=13), 14, "stalled", "milestone_overdue", None),
        (standing(), 14, "stalled", "milestone_overdue", None),
        (standing(SET_UP), 13.99, "on_track", None, 14),
        (standing(SET_UP), 14, "stalled", "quiet", None),
        (standing(SET_UP, active=-90), 13.99, "on_track", None, 14),
        (standing(SET_UP, active=-90), 14, "stalled", "quiet", None),
        (standing(SET_UP, active=None), 19, "on_track", None, 20),
        (standing(SET_UP, active=19), 20, "at_risk", "first_value_late", 33),
        (standing(SET_UP, active=29), 31, "at_risk", "milestone_overdue", 35),
        (standing(SET_UP, active=40), 45, "stalled", "milestone_overdue", None),
        (standing(VALUED, active=50), 50, "on_track", None, 64),
        (standing(VALUED, active=None), 500, "on_track", None, None),
        (standing(holes=HOLE, active=9), 13.99, "on_track", None, 14),
        (standing(holes=HOLE, active=9), 14, "at_risk", "milestone_overdue", 18),
        (standing(SET_UP, holes=HOLE), 17.99, "on_track", None, 18),
        (standing(SET_UP, holes=HOLE), 18, "stalled", "quiet", None),
    ],
)
def test_first_rule_that_holds(
    situation: Standing, clock: float, status: str, reason: str | None, next_due: float | None
) -> None:
    """A deadline fires at the clock that equals it, never before; holes stand still."""
    verdict = judge(situation, day(clock))
    assert (verdict.status, verdict.cause and verdict.cause.reason) == (status, reason)
    assert verdict.next_due_ms == (None if next_due is None else day(next_due))


def test_window_is_the_last_net() -> None:
    """Without overdue and quiet the window alone stalls an account that never got value."""
    net = plan(
        """
plan: net
segments: {smb: {window: 45d}, else: smb}
milestones: {value: {when: a.b}}
first_value: value
"""
    )
    situation = Standing(net, net.segments["smb"], day(0), True, {}, Activity(), ())
    assert judge(situation, day(44)).status == "on_track"
    verdict = judge(situation, day(45))
    assert verdict.cause is not None
    assert (verdict.status, verdict.cause.reason, verdict.cause.at_ms) == ("stalled", "window_over", day(45))


def test_every_rule_that_holds_is_evidence() -> None:
    """The first is the reason; the others are kept beside it."""
    held = judge(standing(), day(50)).held
    assert [(one.status, one.reason) for one in held] == [
        ("stalled", "milestone_overdue"),
        ("stalled", "quiet"),
        ("stalled", "window_over"),
        ("at_risk", "milestone_overdue"),
        ("at_risk", "first_value_late"),
    ]


@pytest.mark.parametrize("situation", [standing(), standing(SET_UP), standing(VALUED), standing(start=9, begun=False)])
def test_next_check_is_a_lower_bound(situation: Standing) -> None:
    """No tick before it would find another status."""
    due = next_check(situation)
    assert due is not None
    assert judge(situation, due - 1).status == judge(situation, day(0)).status


@pytest.mark.parametrize(
    ("situation", "clock", "expected"),
    [
        (standing(), 1, "onboarding"),
        (standing(SET_UP), 1, "onboarding"),
        (standing({"setup": day(1), "extra": day(2)}), 3, "activation"),
        (standing(), 8, "activation"),
        (standing(VALUED), 3, "post_first_value"),
        (standing(start=None, begun=False), 3, "onboarding"),
    ],
)
def test_phase(situation: Standing, clock: float, expected: str) -> None:
    """Onboarding ends when each set-up milestone is reached or its time is past."""
    assert phase(situation, day(clock)) == expected


def test_likely_trouble() -> None:
    """Missing set-up or quiet people point at execution, whichever rule came first; otherwise the facts do not tell."""
    assert likely(standing(active=30), Facts(), day(35)) == "execution"
    assert likely(standing(SET_UP, active=30), Facts(), day(44)) == "execution"
    assert likely(standing(SET_UP, active=30), Facts(), day(43)) == "unknown"


@pytest.mark.parametrize(("when", "expected"), [("a.b", "instrumentation"), ("{people: 3}", "execution")])
def test_only_a_plan_that_names_events_can_have_wrong_names(when: str, expected: str) -> None:
    """Whoever is busy and lacks people has no wrong names."""
    ruled = plan(f"plan: n\nmilestones: {{team: {{due: week 1, when: {when}}}}}\nfirst_value: team\n")
    week = (day(20) // DAY_MS, b"\x7f")
    busy = Activity(day(0), day(20), days={DAY_MS: week})
    situation = replace(standing(), plan=ruled, segment=ruled.segments[ruled.default_segment], activity=busy)
    assert likely(situation, Facts(), day(20)) == expected
