"""Kills the engine with SIGKILL in the middle of the story, and notices when its webhooks come again."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime

from deploy.demo.proof import Outage
from deploy.demo.receivers import Arrival
from deploy.demo.scenario import OUTAGE_DAY
from deploy.demo.story import Story
from deploy.demo.story_calendar import Calendar
from deploy.local.data_folder import DataFolder

_STYLE = "bold magenta"


class EngineOutage:
    """One kill; the stack's supervisor starts the engine again, as an orchestrator would."""

    def __init__(self, data: DataFolder) -> None:
        self._data = data
        self._killed_at_seconds: float | None = None
        self._back_at_seconds: float | None = None
        self._pid_before = 0

    async def strike(self, calendar: Calendar, story: Story) -> None:
        """Kills the engine on its day."""
        await calendar.until(OUTAGE_DAY)
        self._pid_before = self._engine_pid()
        os.kill(self._pid_before, signal.SIGKILL)
        self._killed_at_seconds = time.time()
        story.engine_is_down = True
        story.say(f"──── kill -9 {self._pid_before}: the engine is dead, its customers work on", style=_STYLE)

    def arrived(self, arrival: Arrival, story: Story) -> None:
        """Looks whether a webhook is about something that happened after the kill."""
        if self._killed_at_seconds is None or self._back_at_seconds is not None or arrival.signal is None:
            return
        # What was decided before the kill may still be on its way.
        if datetime.fromisoformat(arrival.signal["timestamp"]).timestamp() > self._killed_at_seconds:
            self._back_at_seconds = arrival.arrived_at_seconds
            lasted = self._back_at_seconds - self._killed_at_seconds
            story.engine_is_down = False
            story.say(f"──── the engine is back after {lasted:.1f} s and reads on where it stopped", style=_STYLE)

    def result(self) -> Outage:
        """What happened, once the story is over."""
        assert self._killed_at_seconds is not None
        return Outage(
            killed_at_seconds=self._killed_at_seconds,
            back_at_seconds=self._back_at_seconds,
            pid_before=self._pid_before,
            pid_after=self._engine_pid(),
        )

    def _engine_pid(self) -> int:
        return next(
            int(process["pid"]) for process in self._data.read_state()["processes"] if process["name"] == "engine"
        )
