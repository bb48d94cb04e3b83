"""Digests for Slack: past so many signals of a type in a stretch of time, the rest become one message."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from services.notifier.domain.slack import (
    TEXT_CHARACTERS_MAX,
    Block,
    encoded,
    escaped,
    header_block,
    section_block,
    title_of,
)

# Signals of one type to one endpoint that are sent one by one.
SINGLE_MAX = 20
WINDOW_SECONDS = 600.0
# Lines that one digest holds; what is more becomes the next one.
MEMBERS_MAX = 300
# All lines together: far below 50 blocks of 3,000 characters, because a longer wall of text is read by nobody.
_LINES_CHARACTERS_MAX = 12_000
_LINE_CHARACTERS_MAX = 200
_BULLET = "• "
_IDS = uuid.UUID("2f0a5f0e-6a5e-4d53-8a0b-1f1f6d6c9a11")


@dataclass(frozen=True, slots=True)
class Digest:
    """One message about many: `body` names the signals by id, `slack_body` the accounts."""

    id: str
    body: bytes
    slack_body: bytes


def held_back(*, before: int, count: int) -> int:
    """How many of `count` signals wait for the digest when `before` of their type came in the window already."""
    return max(0, min(count, before + count - SINGLE_MAX))


def digest_of(endpoint_id: str, signal_type: str, signals: Sequence[Mapping[str, Any]], *, timestamp: str) -> Digest:
    """The digest of `signals` (1 to MEMBERS_MAX of them); its id follows from who gets it and what it holds."""
    ids = [str(signal["id"]) for signal in signals]
    digest_id = str(uuid.uuid5(_IDS, " ".join([endpoint_id, *ids])))
    summary = f"{len(signals)} more: {title_of(signal_type)}"
    told = {"type": signal_type, "id": digest_id, "timestamp": timestamp, "summary": summary}
    body = msgspec.json.encode(told | {"digest": {"count": len(ids), "signals": ids}})
    return Digest(digest_id, body, encoded(summary, [header_block(summary), *_sections(signals)]))


def _sections(signals: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Lines, as many to a section as it holds."""
    room = min(_LINE_CHARACTERS_MAX, _LINES_CHARACTERS_MAX // len(signals) - len(_BULLET) - 1)
    sections: list[list[str]] = [[]]
    length = 0
    for signal in signals:
        line = _BULLET + _line(signal, room)
        if length + len(line) + 1 > TEXT_CHARACTERS_MAX // 2:
            sections.append([])
            length = 0
        sections[-1].append(line)
        length += len(line) + 1
    return [section_block("\n".join(lines)) for lines in sections if lines]


def _line(signal: Mapping[str, Any], room: int) -> str:
    """Which account, and as much of what happened as there is room for."""
    account = signal.get("account") or {}
    name = str(account.get("name") or account.get("id") or signal["id"])
    summary = " ".join(str(signal["summary"]).split())
    return escaped(summary if summary.startswith(name) else f"{name}: {summary}", room)
