"""The story says who, what, why and which webhook answered, once per signal, and notes what came again."""

from __future__ import annotations

import asyncio
import io
import time

from rich.console import Console

from deploy.demo.scenario import Act
from deploy.demo.story import Story
from deploy.demo.story_calendar import Calendar
from tests.unit.demo.observations import STALLED, STARTED, SUBSCRIPTIONS, an_arrival


class Told:
    """A story and what it has printed."""

    def __init__(self) -> None:
        self._output = io.StringIO()
        console = Console(file=self._output, soft_wrap=True, highlight=False)
        self.story = Story(console, Calendar(time.time()), SUBSCRIPTIONS)

    @property
    def lines(self) -> list[str]:
        """The printed lines."""
        return self._output.getvalue().splitlines()


async def test_line_waits_for_all_its_webhooks() -> None:
    """One line names both answers; the reason follows."""
    told = Told()
    told.story.arrived(an_arrival("desk", STALLED))
    assert told.lines == []
    told.story.arrived(an_arrival("billing", STALLED))
    headline, reason = told.lines
    assert headline.startswith("day  0.0  acme ")
    assert "STALLED" in headline
    assert "  First output is overdue  → billing 200  → desk 200" in headline
    assert reason.strip() == "why: first_output due week 4 (0 of 1). Generate a report."


async def test_line_does_not_wait_for_ever() -> None:
    """A webhook that never comes does not keep the others' answers back."""
    told = Told()
    told.story.arrived(an_arrival("desk", STALLED))
    async with asyncio.timeout(5):
        while not told.lines:  # noqa: ASYNC110 - a timer of the story prints it
            await asyncio.sleep(0.02)
    assert "→ desk 200" in told.lines[0]


async def test_second_attempt_gets_a_line_of_its_own() -> None:
    """A signal is told once; its retry is told as such."""
    told = Told()
    told.story.arrived(an_arrival("desk", STARTED, status=500))
    told.story.arrived(an_arrival("desk", STARTED, attempt=2))
    first, second = told.lines
    assert "→ desk 500" in first
    assert "“started” sent again to desk, attempt 2  → desk 200" in second


async def test_forged_request_is_told() -> None:
    """Nobody overlooks a signature that does not verify."""
    told = Told()
    told.story.arrived(an_arrival("desk", None, status=401))
    assert "desk refused a request whose signature does not verify" in told.lines[0]


async def test_only_odd_acts_are_told() -> None:
    """Doubles and late events are pointed out, the daily work is not."""
    told = Told()
    usual = Act(account_id="bright-bakery", day=5, person="ana", event="Data Imported", happened_day=5)
    doubled = Act(account_id="bright-bakery", day=5, person="ana", event="Data Imported", happened_day=5, copies=2)
    late = Act(account_id="bright-bakery", day=5, person="ana", event="Data Imported", happened_day=3)
    for act in (usual, doubled, late):
        told.story.acted(act)
    assert len(told.lines) == 2
    assert "Bright Bakery" in told.lines[0]
    assert "“Data Imported” 2 times under one message id" in told.lines[0]
    assert "which happened on day 3" in told.lines[1]


async def test_everything_sent_during_the_outage_is_told() -> None:
    """It is what the engine has to catch up with."""
    told = Told()
    told.story.engine_is_down = True
    told.story.acted(Act(account_id="acme", day=5, person="ana", event=None, happened_day=5))
    assert "sends “Page Viewed” while the engine is down" in told.lines[0]


async def test_rest_is_told_at_the_end() -> None:
    """A line that still waits when the story ends is not lost."""
    told = Told()
    told.story.arrived(an_arrival("billing", STALLED))
    told.story.finish()
    assert "→ billing 200" in told.lines[0]
