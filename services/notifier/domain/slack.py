"""Signals as Slack messages: blocks that a person reads, within the limits that Slack documents for them.

Sources: "Block Kit: Blocks" and "Composition objects" (50 blocks a message, 150 characters of a header, 3,000 of a
section's text), "Formatting text for app surfaces" (what is escaped). Slack does not say whether it counts an escaped
sign as one character or as four; here it counts as what is sent, and what lies beyond 16 bits as two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

DEFAULT_TYPES = (
    "account.first_value_reached",
    "account.activated",
    "account.stalled",
    "account.escalated",
    "account.recovered",
)

HEADER_CHARACTERS_MAX = 150
TEXT_CHARACTERS_MAX = 3_000
URL_CHARACTERS_MAX = 3_000

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_CUT = "…"
_TITLES = {
    "account.activation_started": "Activation started",
    "account.milestone_reached": "Milestone reached",
    "account.first_value_reached": "First value reached",
    "account.at_risk": "At risk",
    "account.risk_opened": "New risk",
    "account.risk_closed": "Risk closed",
    "account.opportunity_opened": "New opportunity",
    "account.opportunity_closed": "Opportunity closed",
    "endpoint.ping": "Test message",
    "endpoint.failing": "Endpoint is failing",
    "endpoint.disabled": "Endpoint is disabled",
    "endpoint.recovered": "Endpoint has recovered",
    "delivery.exhausted": "Delivery was given up",
}
_ORIGINS = {
    "catch_up": "found while catching up with the past",
    "plan_change": "after a change of the plan",
    "replay": "from a replay",
}

Block = dict[str, Any]


def slack_body(signal: Mapping[str, Any]) -> bytes:
    """The body of a webhook for Slack, from a signal as it is sent to everybody else.

    Only `type` and `summary` have to be there: signals about endpoints have no account.
    """
    account = signal.get("account") or {}
    name = account.get("name") or account.get("id")
    title = title_of(signal["type"])
    blocks = [
        header_block(f"{title}: {name}" if name else title),
        section_block(escaped(signal["summary"], TEXT_CHARACTERS_MAX)),
    ]
    if signal.get("next"):
        blocks.append(section_block("*Next:* " + escaped(signal["next"], TEXT_CHARACTERS_MAX - 9)))
    link = link_text((signal.get("links") or {}).get("account"), "Open the account")
    if link:
        blocks.append(section_block(link))
    details = _details(signal, account)
    if details:
        blocks.append(_context(" · ".join(details)))
    return encoded(signal["summary"], blocks)


def title_of(signal_type: str) -> str:
    """A signal type in words."""
    return _TITLES.get(signal_type) or signal_type.rpartition(".")[2].replace("_", " ").capitalize()


def escaped(text: str, characters_max: int) -> str:
    """`text` with Slack's control characters escaped, cut to `characters_max` without cutting an escape in two."""
    parts: list[str] = []
    room = characters_max
    for sign in text:
        part = _ESCAPES.get(sign, sign)
        size = max(len(part), 1 + (ord(sign) > 0xFFFF))
        if size > room:
            return _cut(parts, characters_max - room, characters_max)
        parts.append(part)
        room -= size
    return "".join(parts)


def link_text(url: str | None, label: str) -> str | None:
    """A link in mrkdwn; None when the URL is not of the web, or too long to be sent whole."""
    if not url or not url.startswith(("https://", "http://")):
        return None
    address = "".join(_ESCAPES.get(sign, "%7C" if sign == "|" else sign) for sign in url)
    text = f"<{address}|{label}>"
    return text if len(text) <= min(URL_CHARACTERS_MAX, TEXT_CHARACTERS_MAX) and "\n" not in text else None


def encoded(text: str, blocks: Sequence[Block]) -> bytes:
    """The message: `text` is what notifications and screen readers show."""
    return msgspec.json.encode({"text": escaped(text, TEXT_CHARACTERS_MAX), "blocks": list(blocks)})


def header_block(text: str) -> Block:
    """A heading of one line."""
    one_line = " ".join(text.split()) or "Signal"
    return {
        "type": "header",
        "text": {"type": "plain_text", "text": escaped(one_line, HEADER_CHARACTERS_MAX), "emoji": False},
    }


def section_block(text: str) -> Block:
    """A paragraph of mrkdwn, escaped by the caller."""
    return {"type": "section", "text": _mrkdwn(text)}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(text)]}


def _mrkdwn(text: str) -> dict[str, Any]:
    # An empty text is refused. Verbatim: a name in the text must neither become a mention nor a link.
    return {"type": "mrkdwn", "text": text or "-", "verbatim": True}


def _details(signal: Mapping[str, Any], account: Mapping[str, Any]) -> list[str]:
    plan = signal.get("plan") or {}
    likely = signal.get("likely")
    found = {
        "Plan": f"{plan['id']} v{plan['version']}" if plan else None,
        "Milestone": (signal.get("milestone") or {}).get("title"),
        "Segment": account.get("segment"),
        "Owner": account.get("owner"),
        "Likely": None if likely == "unknown" else likely,
        "Note": _ORIGINS.get(signal.get("origin", "live")) or ("arrived late" if signal.get("late") else None),
    }
    return [f"{name}: {escaped(value, 200)}" for name, value in found.items() if value]


def _cut(parts: list[str], length: int, characters_max: int) -> str:
    while parts and length >= characters_max:
        gone = parts.pop()
        length -= max(len(gone), 1 + (len(gone) == 1 and ord(gone) > 0xFFFF))
    return "".join(parts) + _CUT
