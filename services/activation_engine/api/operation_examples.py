"""An example of each answer to operators, checked against its document by the tests."""

from __future__ import annotations

from typing import Any

DEAD_LETTERS: dict[str, Any] = {
    "data": [
        {
            "id": 7,
            "partition": 2,
            "offset": 1204,
            "reason": "unknown_command",
            "detail": "this release knows the commands set",
            "key": "acme",
            "key_base64": None,
            "value": {"v": 1, "type": "command", "event": "pause", "account_id": "acme"},
            "value_base64": None,
            "value_bytes": 182,
            "appended_at": "2026-11-16T10:00:03.120Z",
            "recorded_at": "2026-11-16T10:00:03.310Z",
            "requeued_at": None,
            "requeued_offset": None,
        }
    ],
    "next": None,
}
REQUEUED = {
    "id": 7,
    "partition": 2,
    "requeued_at": "2026-11-16T12:00:00Z",
    "requeued_offset": 1390,
    "changed": True,
}
RESUMED = {
    "partition": 0,
    "reason": "records_expired",
    "left_offset": 1204,
    "next_offset": 1300,
    "log_begin": 1300,
    "log_end": 1512,
    "skipped": {"from_offset": 1204, "to_offset": 1300, "count": 96, "certain": True},
}
_JOB = {
    "id": "0d9c1f5b-7a0e-4e8f-9b3c-2d1a0f9e8d7c",
    "error": None,
    "created_at": "2026-11-16T12:00:00Z",
    "ended_at": None,
}
REPUBLISHING = {
    **_JOB,
    "kind": "republish",
    "partition": 2,
    "arguments": {"from_seq": 10, "to_seq": 25},
    "state": "waiting",
    "done": 0,
    "total": 16,
    "result": None,
}
AUDITING: dict[str, Any] = {
    **_JOB,
    "kind": "audit",
    "partition": None,
    "arguments": {},
    "state": "running",
    "done": 0,
    "total": None,
    "result": None,
}
AUDITED = {
    **AUDITING,
    "state": "done",
    "done": 1204,
    "total": 1204,
    "ended_at": "2026-11-16T12:00:02Z",
    "result": {
        "differences": 1,
        "counts": {"signal_missing": 1},
        "listed": [
            {
                "partition": 0,
                "account": "acme",
                "kind": "signal_missing",
                "subject": "1b4e28ba-2fa1-51d2-883f-0016d3cca427",
                "expected": '{"type":"account.stalled","summary":"Acme stalled: …"}',
                "found": None,
            }
        ],
        "complete": False,
        "audited": 30,
        "not_audited": 10,
        "partitions": [
            {
                "partition": 0,
                "state": "compared_since",
                "why": None,
                "since": "2026-08-18T12:00:03.120Z",
                "next_offset": 1204,
                "accounts": 40,
                "audited": 30,
                "not_audited": 10,
                "signals": 12,
                "differences": 1,
            }
        ],
    },
}
