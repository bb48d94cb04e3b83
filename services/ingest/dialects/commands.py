"""Commands about accounts: one object, an array, or newline-delimited JSON, to events or per-command rejections."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from services.ingest.dialects.splitting import elements
from services.ingest.events import BodyInvalid, IncomingEvent, Rejected, checked_id
from services.ingest.times import CLOCK_AHEAD_MAX, moment
from services.runtime import strict_json
from services.runtime.strict_json import InvalidJson


class _Command(msgspec.Struct):
    command: str
    account_id: str | int | None = None
    message_id: str | None = None
    timestamp: str | int | float | None = None


class _Set(msgspec.Struct):
    traits: dict[str, str | int | float | bool | list[Any] | dict[str, Any] | None]


# Each command by name, with the fields it needs besides those that all have.
_FIELDS: dict[str, type[msgspec.Struct]] = {"set": _Set}

# Traits that the engine reads as dates, and the prefix of those that date a milestone by hand.
_DATES = frozenset({"contract_start", "renewal_at"})
_REACHED = "reached."
_YEARS = range(1970, 2200)

_LINE = re.compile(rb"[^\s][^\n]*+")

_decode_command = msgspec.json.Decoder(_Command).decode


def split_commands(body: bytes, *, commands_max: int) -> list[bytes]:
    """The unparsed commands of a body; raises BodyInvalid."""
    body = body.strip()
    if body.startswith(b"["):
        found: list[bytes] = []
        for element in elements(body):
            found.append(element)
            if len(found) > commands_max:
                break
    else:
        found = _lines(body, commands_max)
    if not found:
        raise BodyInvalid("batch_empty", "Send at least one command.")
    if len(found) > commands_max:
        raise BodyInvalid("too_many_events", f"Send at most {commands_max} commands at a time.", status=413)
    return found


def read_command(raw: bytes, *, bytes_max: int, received_at: datetime) -> IncomingEvent:
    """One command as an event of type `command`, whose name is the command's; raises Rejected."""
    if len(raw) > bytes_max:
        raise Rejected("event_too_large", f"Keep one command within {bytes_max} bytes.")
    try:
        value = strict_json.decode(raw)
        common = _decode_command(raw)
    except InvalidJson as error:
        raise Rejected(error.code, error.message) from error
    except msgspec.ValidationError as error:
        raise Rejected("command_invalid", f"Correct the command: {error}.") from error
    message_id = common.message_id or None
    try:
        if message_id is not None:
            checked_id(message_id, "message_id")
        fields = _FIELDS.get(common.command)
        if fields is None:
            raise Rejected("command_unknown", f"Use one of these commands: {', '.join(sorted(_FIELDS))}.")
        if common.account_id is None:
            raise Rejected("account_missing", "Say in `account_id` which account the command is about.")
        _check_dates(msgspec.convert(value, fields), received_at)
    except msgspec.ValidationError as error:
        raise Rejected("command_invalid", f"Correct the command: {error}.", message_id=message_id) from error
    except Rejected as rejected:
        rejected.message_id = message_id and message_id[:80]
        raise
    return IncomingEvent(
        "command", raw, common.account_id, None, common.command, message_id, common.timestamp, sent_at=None
    )


def _check_dates(fields: msgspec.Struct, received_at: datetime) -> None:
    """A date that nobody can read, or a milestone reached in the future, would be taken and never seen again."""
    if not isinstance(fields, _Set):
        return
    for name, value in fields.traits.items():
        by_hand = name.startswith(_REACHED)
        if value is None or not (by_hand or name in _DATES):
            continue
        at = _date(name, value)
        if by_hand and at - received_at > CLOCK_AHEAD_MAX:
            raise Rejected("trait_invalid", f"Set {name[:80]} to a day that has come: it says when that was reached.")


def _date(name: str, value: Any) -> datetime:
    try:
        at = moment(value, name) if isinstance(value, str) else None
    except Rejected:
        at = None
    if at is None or at.year not in _YEARS:
        raise Rejected("trait_invalid", f"Send {name[:80]} as a date like 2026-11-01, or null to take it back.")
    return at


def _lines(body: bytes, commands_max: int) -> list[bytes]:
    """One object over several lines, or an object on each line."""
    if b"\n" in body:
        try:
            strict_json.decode(body)
        except InvalidJson as error:
            # A first line that is bad in another way hides from the parser that more follow.
            if error.code == "json_invalid" or body.partition(b"\n")[0].rstrip().endswith(b"}"):
                return [line.group().rstrip() for line in islice(_LINE.finditer(body), commands_max + 1)]
    return [body] if body else []
