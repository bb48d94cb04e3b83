"""What became of an event as one line that a person reads at a glance."""

from __future__ import annotations

from typing import Any

COLOURS = {"accepted": "green", "unresolved": "yellow", "dead": "red"}
_WAITING = {True: "waits for its account", False: "waits no longer", None: "account not known then"}
_WIDEST = max(map(len, COLOURS))


def mark_of(row: dict[str, Any]) -> str:
    """The status, as wide as the widest."""
    return str(row["status"]).ljust(_WIDEST)


def line_of(row: dict[str, Any]) -> str:
    """What follows the mark: when, whose, what, who, by which rule or why not."""
    at = str(row["received_at"] or row["at"])[:19].replace("T", " ")
    name = row["event"] or row["type"] or "?"
    who = f"by {row['user_id']}" if row["user_id"] else ""
    flags = [*row["flags"], *(["staff"] if row["staff"] else [])]
    told = f"{row['reason']}: {row['message']}" if row["message"] else row["reason"]
    parts = (
        at,
        row["account_id"] or "(no account)",
        name,
        who,
        f"[{' '.join(flags)}]" if flags else "",
        f"account from {row['resolved_by']}" if row["resolved_by"] else "",
        told or (_WAITING[row["waiting"]] if row["status"] == "unresolved" else ""),
        f"id {row['message_id']}" if row["message_id"] else "",
    )
    return "  ".join(part for part in parts if part)
