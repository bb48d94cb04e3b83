"""Example answers for OpenAPI; a contract test holds each against its document."""

from __future__ import annotations

from typing import Any

PLAN_YAML = """plan: b2b-saas
title: From contract to the first measurable outcome
events:
  data.ingested:    [Data Imported]
  report.generated: [Report Generated]
start: [contract_start, first_event]
milestones:
  first_data:   {due: week 2, when: data.ingested}
  first_output: {due: week 4, needs: [first_data], when: report.generated}
first_value: first_output
stalled: {overdue: 7d, quiet: 14d}
"""

SIGNAL: dict[str, Any] = {
    "type": "account.first_value_reached",
    "id": "1d3d4a4e-52d0-5d0e-9b4a-4f2b6f0f3a11",
    "timestamp": "2026-11-12T09:30:00Z",
    "summary": "Acme reached first value on day 21: First output.",
    "account": {
        "id": "acme", "name": "Acme", "segment": "smb", "owner": "dana@vendor.example", "traits": {"crm_id": "0015"}
    },
    "plan": {"id": "b2b-saas", "version": 3},
    "evidence": {"rule": "report.generated", "measured": 1, "threshold": 1, "events": ["m-1"], "also": []},
    "sequence": 4,
    "milestone": {"id": "first_output", "title": "First output"},
    "due_at": "2026-11-12T10:00:00Z",
    "days_since_start": 21.0,
    "ttfv_days": 21.0,
    "origin": "live",
    "late": False,
}  # fmt: skip
TIMELINE = {"data": [SIGNAL], "superseded": [], "next": None}
STREAM = {"data": [SIGNAL], "next": "eyIwIjoxMiwiMSI6N30"}

_PLAN_ROW: dict[str, Any] = {
    "plan": "b2b-saas",
    "version": 3,
    "phase": "activation",
    "status": "at_risk",
    "reason": "milestone_overdue",
    "segment": "smb",
    "started_at": "2026-10-22T10:00:00Z",
    "first_value_at": None,
    "activated_at": None,
    "ttfv_days": {"gross": None, "net": None, "before_start": False},
    "completion_rate": 0.5,
    "reached": ["first_data"],
    "adoption": 0.4,
    "risks": [
        {
            "id": "single_threaded",
            "title": "Single threaded",
            "opened_at": "2026-11-14T10:00:00Z",
            "reason": "fewer than 2 people in 28 days, for 30 days",
            "evidence": {
                "rule": "fewer than 2 people in 28 days, for 30 days",
                "measured": 1,
                "threshold": 2,
            },
        }
    ],
    "opportunities": [],
}
_MILESTONES = [
    {
        "id": "first_data",
        "title": "First data",
        "required": True,
        "due_at": "2026-11-01T22:00:00Z",
        "reached_at": "2026-10-30T08:12:00Z",
        "superseded": False,
    },
    {
        "id": "first_output",
        "title": "First output",
        "required": True,
        "due_at": "2026-11-12T10:00:00Z",
        "reached_at": None,
        "superseded": False,
    },
]
_ACCOUNT: dict[str, Any] = {
    "id": "acme",
    "traits": {"name": "Acme", "segment": "smb", "owner": "dana@vendor.example", "contract_start": "2026-10-22"},
    "last_activity_at": "2026-11-16T00:00:00Z",
    "diagnosis": {"cause": "execution", "action": "help", "at": "2026-11-15T12:00:00Z"},
}
ACCOUNT = {
    **_ACCOUNT,
    "people": [
        {"id": "u-7", "role": "champion", "last_seen_at": "2026-11-15T16:20:00Z"},
        {"id": "u-9", "role": "executive", "last_seen_at": None},
    ],
    "plans": [{**_PLAN_ROW, "milestones": _MILESTONES}],
}
ACCOUNTS = {"data": [{**_ACCOUNT, "plans": [_PLAN_ROW]}], "next": "WyJhY21lIl0"}

_CONDITIONS: list[dict[str, Any]] = [
    {
        "milestone": "first_data",
        "title": "First data",
        "required": True,
        "waived": False,
        "waiver_ignored": False,
        "met": True,
        "superseded": False,
        "measured": 1,
        "threshold": 1,
        "at": "2026-10-30T08:12:00Z",
        "due_at": "2026-11-01T22:00:00Z",
        "waiting_for": [],
        "text": "data.ingested",
        "parts": [],
    },
    {
        "milestone": "first_output",
        "title": "First output",
        "required": True,
        "waived": False,
        "waiver_ignored": False,
        "met": False,
        "superseded": False,
        "measured": 0,
        "threshold": 1,
        "at": None,
        "due_at": "2026-11-12T10:00:00Z",
        "waiting_for": [],
        "text": "report.generated",
        "parts": [],
    },
]
EXPLANATION = {
    "text": "Acme is at risk under b2b-saas (version 3) since 15 Nov 2026: First output is 4 days overdue (due "
    "12 Nov 2026). escalated is snoozed until 2026-12-01T00:00:00Z.",
    "clock_at": "2026-11-16T10:00:00Z",
    "last_activity_at": "2026-11-16T00:00:00Z",
    "last_event": "Data Imported",
    "snoozes": [{"kind": "escalated", "until": "2026-12-01T00:00:00Z", "mutes": True}],
    "plans": [
        {
            "plan": "b2b-saas",
            "version": 3,
            "status": "at_risk",
            "reason": "milestone_overdue",
            "since": "2026-11-15T10:00:00Z",
            "next_due_at": "2026-11-19T10:00:00Z",
            "escalates_at": "2026-12-13T10:00:00Z",
            "next": "One report.generated reaches First output; without it the account stalls on 19 Nov 2026.",
            "text": "Acme is at risk under b2b-saas (version 3) since 15 Nov 2026: First output is 4 days overdue.",
            "entered_by": {
                "reason": "milestone_overdue",
                "milestone": "first_output",
                "text": "First output is 4 days overdue (due 12 Nov 2026)",
                "at": "2026-11-15T10:00:00Z",
                "holds": True,
            },
            "verdict": "at_risk",
            "rules": [
                {
                    "status": "at_risk",
                    "reason": "milestone_overdue",
                    "milestone": "first_output",
                    "text": "first_output due week 4 (smb, pace 0.75)",
                    "at": "2026-11-15T10:00:00Z",
                }
            ],
            "risks": [
                {
                    "id": "single_threaded",
                    "title": "Single threaded",
                    "rule": "fewer than 2 people in 28 days, for 30 days",
                    "open": True,
                    "opened_at": "2026-11-14T10:00:00Z",
                    "looked_at_next": "2026-11-26T10:00:00Z",
                    "parts": [{"part": "people", "holds": True, "measured": 1, "threshold": 2}],
                }
            ],
            "opportunities": [],
            "conditions": _CONDITIONS,
        }
    ],
}

_HASH = "6d0c1f5b7a0e4e8f9b3c2d1a0f9e8d7c6b5a49382716f5e4d3c2b1a09f8e7d6c"
_EFFECT = {
    "counts_from_publish": ["team_using"],
    "newly_required": ["team_using"],
    "fall_back_max": 12,
    "milestones_removed": ["first_invite"],
    "events_dropped": ["Invite Sent"],
    "warnings": [
        {
            "file": "b2b-saas.yaml",
            "line": 4,
            "column": 22,
            "path": "events.data.ingested[0]",
            "code": "event_never_seen",
            "message": "`Data Imported` was never sent",
            "hint": "the nearest names that were sent: `Data Import`",
        }
    ],
}
PUBLISHED = {
    "plan": "b2b-saas",
    "version": 3,
    "hash": _HASH,
    "changed": True,
    "live": True,
    **_EFFECT,
}
RETIRED_PLAN = {"plan": "b2b-saas", "version": 4, "changed": True, "retired": True}
CHECKED = {
    "plan": "b2b-saas",
    "title": "From contract to the first measurable outcome",
    "hash": _HASH,
    "valid": True,
    **_EFFECT,
}
PLAN_VERSION = {
    "plan": "b2b-saas",
    "title": "From contract to the first measurable outcome",
    "version": 3,
    "hash": _HASH,
    "policy": "silent",
    "published_at": "2026-11-01T09:00:00Z",
    "live": True,
}
PLAN_CONTENT = {**PLAN_VERSION, "content": {"plan": "b2b-saas", "first_value": "first_output"}, "source": PLAN_YAML}
PLAN = {**PLAN_CONTENT, "versions": [PLAN_VERSION]}
PLANS = {"data": [PLAN_VERSION], "next": None}
PLAN_ERROR = {
    "file": "b2b-saas.yaml",
    "line": 9,
    "column": 42,
    "path": "milestones.first_output.needs[0]",
    "code": "unknown_milestone",
    "message": "`first_dat` is not a milestone",
    "hint": "did you mean `first_data`?",
}

PARTITIONS = {
    "data": [
        {
            "partition": 0,
            "state": "running",
            "owner": "engine-1",
            "next_offset": 1204,
            "last_append_at": "2026-11-16T10:00:03.120Z",
            "behind_seconds": 2.4,
            "clock": "2026-11-16T10:00:00Z",
            "holding": False,
            "signals": 12,
            "unpublished_signals": 0,
            "problem": None,
        }
    ],
    "next": None,
}
