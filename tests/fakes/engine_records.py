"""Records as ingest writes them, and a plan under which things happen within seconds."""

from __future__ import annotations

import time

import msgspec

from schemas.timestamps import to_rfc3339

# A day of the plan is a fifth of a second, so that accounts are late and quiet within seconds.
QUICK_PLAN = """
plan: quick
day: 200ms
events:
  data.imported: [Data Imported]
  report.made: [Report Made]
start: [first_event]
grace: 1d
milestones:
  data: {due: 2d, when: data.imported}
  output: {due: 4d, needs: [data], when: report.made}
  habit: {when: {event: report.made, count: 3}, required: false}
first_value: output
stalled: {overdue: 3d, quiet: 8d}
"""


def now_ms() -> int:
    """Wall time in milliseconds."""
    return time.time_ns() // 1_000_000


def record_value(account: str, message: str, *, at_ms: int | None = None, late_ms: int = 0, **more: object) -> bytes:
    """The value of a record of an account, received at `at_ms`, `late_ms` after it happened; `more` as on Kafka."""
    received_ms = now_ms() if at_ms is None else at_ms
    return msgspec.json.encode(
        {
            "v": 1,
            "source": "test",
            "message_id": message,
            "account_id": account,
            "user_id": None,
            "received_at": to_rfc3339(received_ms),
            "occurred_at": to_rfc3339(received_ms - late_ms),
            **more,
        }
    )


def event_value(account: str, name: str, message: str, *, at_ms: int | None = None, body: str = "{}") -> bytes:
    """The value of a product event, as ingest writes it."""
    raw, user = msgspec.Raw(body.encode()), f"user-of-{account}"
    return record_value(account, message, at_ms=at_ms, type="track", event=name, user_id=user, body=raw)


def command_value(account: str, name: str, message: str, *, at_ms: int | None = None, **fields: object) -> bytes:
    """The value of a command, as ingest writes it."""
    body = {"command": name, "account_id": account, **fields}
    return record_value(account, message, at_ms=at_ms, type="command", event=name, body=body)


def tick_value(at_ms: int | None = None) -> bytes:
    """The value of a tick sent now."""
    moment = to_rfc3339(now_ms() if at_ms is None else at_ms)
    return msgspec.json.encode({"v": 1, "sent_at": moment, "last_event_at": moment})
