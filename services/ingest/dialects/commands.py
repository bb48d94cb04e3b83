"""Commands about accounts: one object, an array, or newline-delimited JSON, to events or per-command rejections."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import islice

import msgspec

from schemas.commands import COMMANDS
from services.ingest.dialects.command_checks import check_command
from services.ingest.dialects.splitting import elements
from services.ingest.dialects.type_errors import in_words
from services.ingest.dialects.unpacked import Item, Request, Unpacked, strict_value
from services.ingest.events import BodyInvalid, IncomingEvent, Rejected, checked_id
from services.runtime import strict_json
from services.runtime.access import Scope
from services.runtime.problems import Problem
from services.runtime.strict_json import InvalidJson


class _Common(msgspec.Struct):
    """What is looked at before it is known which command this is."""

    command: str
    account_id: str | int | None = None
    message_id: str | None = None
    timestamp: str | int | float | None = None


_LINE = re.compile(rb"[^\s][^\n]*+")


def unpack(body: bytes, request: Request) -> Unpacked:
    """One command, an array, or one on each line; raises BodyInvalid."""
    read = partial(read_command, bytes_max=request.event_bytes_max, received_at=request.received_at, may=request.may)
    return Unpacked(split_commands(body, commands_max=request.events_max), read, request.event_bytes_max)


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


def read_command(item: Item, *, bytes_max: int, received_at: datetime, may: Callable[[Scope], bool]) -> IncomingEvent:
    """One command as an event of type `command`, whose name is the command's.

    Raises Rejected, and Problem 403 `scope_missing` when the key may not give it: then the whole request is refused.
    """
    raw = bytes(item)
    value = strict_value(raw, bytes_max=bytes_max)
    try:
        common = msgspec.convert(value, _Common)
    except msgspec.ValidationError as error:
        raise Rejected("command_invalid", f"Correct the command: {in_words(error)}.") from error
    message_id = common.message_id or None
    try:
        if message_id is not None:
            checked_id(message_id, "message_id")
        _check_known(common, may)
        check_command(common.command, value, received_at=received_at)
    except Rejected as rejected:
        rejected.message_id = message_id and message_id[:80]
        raise
    return IncomingEvent(
        "command",
        raw,
        common.account_id,
        None,
        common.command,
        message_id,
        common.timestamp,
        sent_at=None,
        document=value,
    )


def _check_known(common: _Common, may: Callable[[Scope], bool]) -> None:
    kind = COMMANDS.get(common.command)
    if kind is None:
        raise Rejected("command_unknown", f"Use one of these commands: {', '.join(sorted(COMMANDS))}.")
    if not may(Scope(kind.scope)):
        raise Problem(
            403,
            "scope_missing",
            f"Use a key with the scope {kind.scope} for {common.command}; nothing of this request was taken.",
        )
    if common.account_id is None:
        raise Rejected("account_missing", "Say in `account_id` which account the command is about.")


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
