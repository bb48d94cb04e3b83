"""Files of product events: one JSON object, an array, `{"batch": […]}`, or an object on each line."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from services.cli.output import Misused
from services.cli.sending import Item


def events_of(content: bytes, name: str) -> Iterator[Item]:
    """The events with their places. Raises Misused at the first thing that is none."""
    name = "standard input" if name == "-" else name
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Misused(f"{name}, line {line}: not UTF-8; save the file as UTF-8.") from error
    whole = _whole(text)
    if whole is None:
        yield from _of_lines(text, name)
        return
    events = whole.get("batch", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(events, list) or not events:
        raise Misused(f"{name}: write events as JSON objects, an array of them, or one on each line.")
    for index, event in enumerate(events):
        yield Item(f"event {index + 1}", _event(event, f"{name}, event {index + 1}"))


def named(event: dict[str, Any]) -> dict[str, Any]:
    """The event with a message id, so that it counts once even when ingest takes it twice."""
    return event if event.get("messageId") else {**event, "messageId": str(uuid.uuid4())}


def _of_lines(text: str, name: str) -> Iterator[Item]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise Misused(f"{name} is empty: write events as JSON objects, an array of them, or one on each line.")
    for number, line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise Misused(f"{name}, line {number}: not JSON ({reason}); nothing was sent.") from error
        yield Item(f"line {number}", _event(event, f"{name}, line {number}"))


def _event(event: Any, place: str) -> dict[str, Any]:
    if not isinstance(event, dict):
        raise Misused(f"{place}: an event is a JSON object, such as one that an SDK sends.")
    event = {"type": "track", **event}
    # Ingest makes the id of an event with a time from its text, the same for the same event.
    return event if event.get("timestamp") else named(event)


def _whole(text: str) -> Any:
    """The value, when the text is one JSON document."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
