"""Tells the demo line by line as it happens: coloured on a terminal, plain text elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from deploy.demo.proof import subscribes
from deploy.demo.receivers import Arrival
from deploy.demo.scenario import ACCOUNTS, Act
from deploy.demo.story_calendar import Calendar

# How long a line waits for the other webhook's answer.
_GATHER_SECONDS = 0.3
_ACCOUNTS = {account.id: (account.name, account.segment) for account in ACCOUNTS}
_LOOKS = {
    "account.activation_started": ("started", "cyan"),
    "account.milestone_reached": ("milestone", "green"),
    "account.first_value_reached": ("FIRST VALUE", "bold green"),
    "account.activated": ("ACTIVATED", "bold green"),
    "account.at_risk": ("at risk", "yellow"),
    "account.stalled": ("STALLED", "bold red"),
    "account.recovered": ("RECOVERED", "bold cyan"),
    "account.escalated": ("ESCALATED", "bold yellow"),
    "account.risk_opened": ("risk", "yellow"),
    "account.risk_closed": ("risk over", "green"),
    "account.opportunity_opened": ("opportunity", "cyan"),
    "account.opportunity_closed": ("opportunity", "cyan"),
}
_TROUBLE = frozenset({"account.at_risk", "account.stalled"})
# Their summaries begin with what the label says already: "stalled: …".
_SAID_BY_LABEL = _TROUBLE | {"account.activation_started", "account.first_value_reached", "account.activated"}
_WITH_REASON = _TROUBLE | {
    "account.first_value_reached",
    "account.activated",
    "account.recovered",
    "account.escalated",
}
_REASON_INDENT = " " * 53


@dataclass
class _Line:
    """A signal that is about to be told, with the answers to its webhooks so far."""

    signal: dict[str, Any]
    awaited: set[str]
    timer: asyncio.TimerHandle
    answers: dict[str, int] = field(default_factory=dict)


class Story:
    """Prints what people should see; `subscriptions` tells which receivers a signal is owed to.

    While `engine_is_down` everything that the product sends is told.
    """

    def __init__(self, console: Console, calendar: Calendar, subscriptions: Mapping[str, Sequence[str]]) -> None:
        self._console = console
        self._calendar = calendar
        self._subscriptions = subscriptions
        self.engine_is_down = False
        self._lines: dict[str, _Line] = {}
        self._told: set[str] = set()

    def arrived(self, arrival: Arrival) -> None:
        """A webhook came in; its line is printed when the others of the same signal have come too."""
        if arrival.signal is None:
            self.say(f"{arrival.receiver} refused a request whose signature does not verify", style="bold red")
        elif arrival.webhook_id in self._told:
            self._tell_again(arrival, arrival.signal)
        else:
            line = self._lines.get(arrival.webhook_id) or self._begin(arrival.webhook_id, arrival.signal)
            line.answers[arrival.receiver] = arrival.status
            if line.answers.keys() >= line.awaited:
                self._finish(arrival.webhook_id)

    def acted(self, act: Act) -> None:
        """Tells of what the product sent only when something is odd about it."""
        what = f"sends “{act.event or 'Page Viewed'}”"
        if self.engine_is_down:
            self._row(act.account_id, "", "dim", f"{what} while the engine is down")
        elif act.is_late:
            self._row(act.account_id, "", "dim", f"{what}, which happened on day {act.happened_day:g}")
        elif act.copies > 1:
            self._row(act.account_id, "", "dim", f"{what} {act.copies} times under one message id")

    def say(self, text: str, *, style: str = "bold") -> None:
        """A sentence by the narrator."""
        self._console.print(Text(f"{self._day()}  {text}", style=style))

    def finish(self) -> None:
        """Prints what still waits for an answer."""
        for signal_id in list(self._lines):
            self._finish(signal_id)

    def _begin(self, signal_id: str, signal: dict[str, Any]) -> _Line:
        timer = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._finish, signal_id)
        awaited = {name for name, types in self._subscriptions.items() if subscribes(types, signal["type"])}
        self._lines[signal_id] = _Line(signal=signal, awaited=awaited, timer=timer)
        return self._lines[signal_id]

    def _finish(self, signal_id: str) -> None:
        line = self._lines.pop(signal_id)
        line.timer.cancel()
        self._told.add(signal_id)
        signal = line.signal
        label, style = _LOOKS.get(signal["type"], (signal["type"], ""))
        self._row(signal["account"]["id"], label, style, _what(signal), answers=line.answers)
        if signal["type"] in _WITH_REASON:
            self._console.print(Text(f"{_REASON_INDENT}why: {why(signal)}", style="dim"))

    def _tell_again(self, arrival: Arrival, signal: dict[str, Any]) -> None:
        label, _ = _LOOKS.get(signal["type"], (signal["type"], ""))
        text = f"“{label.lower()}” sent again to {arrival.receiver}, attempt {arrival.attempt}"
        self._row(signal["account"]["id"], "", "dim", text, answers={arrival.receiver: arrival.status})

    def _row(
        self, account_id: str, label: str, style: str, text: str, *, answers: Mapping[str, int] | None = None
    ) -> None:
        name, segment = _ACCOUNTS.get(account_id, (account_id, ""))
        row = Text(f"{self._day()}  {name:<15}  ")
        row.append(f"{segment:<10}  ", style="dim")
        row.append(f"{label:<11}  ", style=style)
        row.append(text, style=style if style == "dim" else "")
        for receiver, status in sorted((answers or {}).items()):
            row.append(f"  → {receiver} {status}", style="green" if status < 300 else "red")
        self._console.print(row)

    def _day(self) -> str:
        return f"day {self._calendar.now():4.1f}"


def why(signal: Mapping[str, Any]) -> str:
    """The rule behind a signal, what was measured against it, and for trouble what would end it."""
    evidence = signal["evidence"]
    text = str(evidence["rule"])
    if evidence.get("threshold") is not None:
        text += f" ({evidence['measured']:g} of {evidence['threshold']:g})"
    if signal["type"] in _TROUBLE:
        text += f". {signal['next']}"
    return text


def _what(signal: Mapping[str, Any]) -> str:
    account = signal["account"]
    text = str(signal["summary"]).removeprefix(account["name"] or account["id"]).lstrip(": ").rstrip(".")
    if signal["type"] in _SAID_BY_LABEL:
        text = text.partition(": ")[2] or text
    return f"{text}, as a late event shows" if signal.get("late") else text
