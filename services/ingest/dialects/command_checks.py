"""Checks one command: its fields exist and fit, its dates can be read and lie on the right side of now."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from typing import Any

import msgspec

from schemas.commands import (
    COMMANDS,
    NEVER_SNOOZED_KINDS,
    Command,
    ErasePerson,
    Mark,
    Note,
    Pause,
    Set,
    Snooze,
)
from services.ingest.dialects.type_errors import in_words
from services.ingest.events import Rejected, checked_id
from services.ingest.times import CLOCK_AHEAD_MAX, moment

# Traits that the engine reads as dates, and the prefixes of those that date a milestone by hand, or waive it.
_DATES = frozenset({"contract_start", "renewal_at"})
_REACHED, _WAIVED = "reached.", "waived."
_YEARS = range(1970, 2200)


def check_command(name: str, value: dict[str, Any], *, received_at: datetime) -> None:
    """Raises Rejected unless `value` is a command `name` that the engine can apply.

    Codes: `command_invalid`, `trait_invalid`, `id_too_long`.
    """
    kind = COMMANDS[name]
    _check_names(name, kind, value)
    try:
        command = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(name, f"{in_words(error)}. It takes {kind.takes}") from error
    match command:
        case Set():
            _check_traits(command.traits, received_at)
        case Note():
            checked_id(command.event, "event")
        case ErasePerson():
            checked_id(command.user_id, "user_id")
        case Pause(until=str(until)) if _date(name, "until", until) <= received_at:
            raise _invalid(name, "send as `until` a date to come, or leave it out to pause until resumed")
        case Snooze():
            _check_snooze(name, command)
        case Mark(at=str(at)) if _date(name, "at", at) - received_at > CLOCK_AHEAD_MAX:
            raise _invalid(name, "send as `at` a date that has come: it says when the milestone was reached")


def _check_names(name: str, kind: type[Command], value: dict[str, Any]) -> None:
    """A misspelt field would be an order that nobody follows."""
    known = ("command", *kind.__struct_fields__)
    for field in value:
        if field not in known:
            near = get_close_matches(field, known, n=1)
            instead = f"did you mean `{near[0]}`?" if near else f"it takes {kind.takes}."
            raise Rejected("command_invalid", f"Correct the command: {name} has no field `{field[:80]}`; {instead}")


def _check_snooze(name: str, command: Snooze) -> None:
    if command.kind in NEVER_SNOOZED_KINDS:
        raise _invalid(name, f"{command.kind} cannot be snoozed, because what happens once would never be told")
    _date(name, "until", command.until)


def _check_traits(traits: dict[str, Any], received_at: datetime) -> None:
    """A date that nobody can read, or a milestone reached in the future, would be taken and never seen again; a text
    such as "no" would waive."""
    for name, value in traits.items():
        if name.startswith(_WAIVED) and not isinstance(value, bool | None):
            raise Rejected("trait_invalid", f"Send {name[:80]} as true, or null to take the waiver back.")
        by_hand = name.startswith(_REACHED)
        if value is None or not (by_hand or name in _DATES):
            continue
        at = _readable_date(value)
        if at is None:
            raise Rejected("trait_invalid", f"Send {name[:80]} as a date like 2026-11-01, or null to take it back.")
        if by_hand and at - received_at > CLOCK_AHEAD_MAX:
            raise Rejected("trait_invalid", f"Set {name[:80]} to a day that has come: it says when that was reached.")


def _date(name: str, field: str, text: str) -> datetime:
    at = _readable_date(text)
    if at is None:
        raise _invalid(name, f"send `{field}` as a date like 2026-12-01 or 2026-12-01T09:00:00Z")
    return at


def _readable_date(value: Any) -> datetime | None:
    """The instant, or None; the year counts as it is written, because that is how the engine reads it."""
    try:
        return moment(value, "") if datetime.fromisoformat(value).year in _YEARS else None
    except (ValueError, TypeError, Rejected):
        return None


def _invalid(name: str, what: str) -> Rejected:
    return Rejected("command_invalid", f"Correct the {name} command: {what}.")
