"""What a command about an account is refused for before it is sent, as ingest would keep it as a dead letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.commands import NEVER_SNOOZED_KINDS, SNOOZED_KINDS
from services.cli.client import Client, segment
from services.cli.live_plans import Contents, contents_of, live_plans, require_live, unwaivable
from services.cli.output import Refused

# Traits that are dates to every plan, and the prefixes of those that date a milestone, or waive it.
_DATES = ("contract_start", "renewal_at")
_REACHED, WAIVED = "reached.", "waived."
_YEARS = range(1970, 2200)
# As ingest forgives it.
_CLOCK_AHEAD_MAX = timedelta(minutes=5)


def check(command: dict[str, Any], now: datetime) -> None:
    """What can be known without any service. Raises Refused."""
    dates = {"--until": command.get("until"), "--at": command.get("at")}
    dates |= {name: value for name, value in command.get("traits", {}).items() if _is_date(name)}
    moments = {name: _moment(name, value) for name, value in dates.items() if value is not None}
    if command["command"] == "pause" and "--until" in moments and moments["--until"] <= now:
        raise Refused("--until is over: write a date to come, or leave it out to pause until resumed.")
    for name, at in moments.items():
        if name == "--at" or name.startswith(_REACHED):
            _check_come(name, at, now, says="when the milestone was reached")
    if command.get("kind") in NEVER_SNOOZED_KINDS:
        raise Refused(f"{command['kind']} cannot be snoozed, because what happens once would never be told.")


def check_happened(at: str, now: datetime) -> None:
    """Whether an event may have happened then: ingest would take one that is to come as of now. Raises Refused."""
    _check_come("--at", _moment("--at", at), now, says="when it happened")


def check_with(engine: Client, command: dict[str, Any], account: dict[str, Any] | None) -> None:
    """What the plans say to a command about `account`, None when it is new. Raises Refused, Unreachable."""
    if command.get("plan") is not None:
        require_live(engine, command["plan"])
    if command["command"] == "snooze":
        _check_kind(engine, command)
    if waived := set(waived_by(command)):
        _check_first_value(engine, waived, account)


def waived_by(command: dict[str, Any]) -> Iterator[str]:
    """The milestones that it waives: its own, or by traits."""
    if command["command"] == "waive":
        yield command["milestone"]
    for trait, value in command.get("traits", {}).items():
        if trait.startswith(WAIVED) and value:
            yield trait.removeprefix(WAIVED)


def no_dates(engine: Client, command: dict[str, Any], plans: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What to say of each trait that one of these plans of the account starts with, and that is no date."""
    odd = {name for name, value in command.get("traits", {}).items() if value is not None and not _readable(value)}
    if not odd:
        return
    for plan, content in _contents(engine, [one["plan"] for one in plans]).items():
        for name in sorted(odd.intersection(content.get("start", []))):
            yield f"{name} is no date like 2026-12-01, and {plan} starts with it: like this it starts nothing."


def _is_date(trait: str) -> bool:
    return trait in _DATES or trait.startswith(_REACHED)


def _check_come(name: str, at: datetime, now: datetime, *, says: str) -> None:
    if at - now > _CLOCK_AHEAD_MAX:
        raise Refused(f"{name} is to come: write a day that has come, for it says {says}.")


def _moment(name: str, value: Any) -> datetime:
    at = _readable(value)
    if at is None:
        raise Refused(f"{name} is no date: write one like 2026-12-01 or 2026-12-01T09:00:00Z.")
    return at


def _readable(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    if at.year not in _YEARS:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _check_kind(engine: Client, command: dict[str, Any]) -> None:
    """Raises Refused for a kind that mutes nothing of the account."""
    if command["kind"] in SNOOZED_KINDS:
        return
    try:
        plans = engine.ask("GET", f"/v1/accounts/{segment(command['account_id'])}/explain")["plans"]
    except Refused as refused:
        if refused.code != "account_unknown":
            raise
        plans = []
    watched = sorted({one["id"] for plan in plans for one in (*plan["risks"], *plan["opportunities"])})
    if command["kind"] not in watched:
        kinds = ", ".join((*SNOOZED_KINDS, *watched))
        raise Refused(f"Nothing of {command['account_id']} is called {command['kind']}: snooze one of {kinds}.")


def _check_first_value(engine: Client, waived: set[str], account: dict[str, Any] | None) -> None:
    """Raises Refused for a milestone that is the first value wherever it is one of the account's."""
    plans = _contents(engine, None if account is None else [one["plan"] for one in account["plans"]])
    for milestone in sorted(waived & unwaivable(plans)):
        instead = "mark it if it is reached, or move the account to a plan that does not ask for it"
        raise Refused(f"{milestone} is the first value, which cannot be waived; nothing was changed: {instead}.")


def _contents(engine: Client, plans: list[str] | None) -> Contents:
    """What these plans hold, by default the live ones; nothing where the key may not read them, which stops nobody."""
    try:
        return contents_of(engine, live_plans(engine) if plans is None else plans)
    except Refused:
        return {}
