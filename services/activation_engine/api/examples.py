"""Example answers for OpenAPI; tests hold each against its document, and against what is answered."""

from __future__ import annotations

from typing import Any

PLAN_YAML = """plan: b2b-saas
title: From contract to the first measurable outcome
events:
  data.ingested:    [Data Imported]
  report.generated: [Report Generated]
start: [contract_start, first_event]
segments:
  smb:        {pace: 0.75, window: 60d}
  enterprise: {pace: 1.5, window: 180d}
  else: smb
grace: 3d
milestones:
  first_data:   {due: week 2, when: data.ingested}
  first_output: {due: week 4, needs: [first_data], when: report.generated}
first_value: first_output
core_features: {days: 2, of: [data.ingested, report.generated]}
stalled: {overdue: 7d, quiet: 14d}
escalate: {at: 52d}
risks:
  single_threaded: {people: {lt: 2}, for: 14d}
"""

SIGNAL: dict[str, Any] = {
    "type": "account.at_risk",
    "id": "3237b3cf-32fd-5e47-afb1-1112dfdf0c5f",
    "timestamp": "2026-11-15T10:00:00Z",
    "summary": "Acme is at risk: First output is 3 days overdue (due 12 Nov 2026) and nobody was active for 9 days.",
    "account": {
        "id": "acme",
        "name": "Acme",
        "segment": "smb",
        "owner": "dana@vendor.example",
        "traits": {"crm_id": "0015"},
    },
    "plan": {"id": "b2b-saas", "version": 3},
    "milestone": {"id": "first_output", "title": "First output"},
    "status": {"from": "on_track", "to": "at_risk"},
    "reason": "milestone_overdue",
    "likely": None,
    "to": ["owner"],
    "due_at": "2026-11-12T10:00:00Z",
    "days_since_start": 24.0,
    "ttfv_days": None,
    "evidence": {
        "rule": "first_output due week 4 (smb, pace 0.75)",
        "measured": 0,
        "threshold": 1,
        "events": [],
        "also": [],
    },
    "next": "First output is reached by report.generated.",
    "risk": None,
    "opportunity": None,
    "outcome": None,
    "links": {},
    "origin": "live",
    "late": False,
    "sequence": 4,
}
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
    "adoption": 0.5,
    "risks": [
        {
            "id": "single_threaded",
            "title": "Single threaded",
            "opened_at": "2026-11-13T09:00:00Z",
            "reason": "fewer than 2 people in 28 days, for 14 days",
            "evidence": {
                "rule": "fewer than 2 people in 28 days, for 14 days",
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
    "traits": {
        "name": "Acme",
        "segment": "smb",
        "owner": "dana@vendor.example",
        "crm_id": "0015",
        "contract_start": "2026-10-22T10:00:00Z",
    },
    "last_activity_at": "2026-11-16T08:05:00Z",
    "diagnosis": {"cause": "execution", "action": "help", "at": "2026-11-15T12:00:00Z"},
}
ACCOUNT = {
    **_ACCOUNT,
    "people": [
        {"id": "u-7", "role": "champion", "last_seen_at": "2026-11-16T03:45:00Z"},
        {"id": "u-9", "role": "executive", "last_seen_at": None},
    ],
    "plans": [{**_PLAN_ROW, "milestones": _MILESTONES}],
}
ACCOUNTS = {"data": [{**_ACCOUNT, "plans": [_PLAN_ROW]}], "next": "WyJhY21lIl0"}

_NEXT = "First output is reached by report.generated."
_TEXT = (
    "Acme is at risk under b2b-saas (version 3) since 15 Nov 2026: First output is 4 days overdue (due 12 Nov 2026); "
    f"1 of 2 required milestones are reached. {_NEXT} Unless that changes, it is stalled on 19 Nov 2026 and escalated "
    "to owner on 13 Dec 2026."
)
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
        "text": "First data is reached by data.ingested.",
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
        "text": _NEXT,
        "parts": [],
    },
]
EXPLANATION = {
    "text": f"{_TEXT} escalated is snoozed until 2026-12-01T00:00:00Z.",
    "clock_at": "2026-11-16T10:00:00Z",
    "last_activity_at": "2026-11-16T08:05:00Z",
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
            "next": _NEXT,
            "text": _TEXT,
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
                    "rule": "fewer than 2 people in 28 days, for 14 days",
                    "open": True,
                    "opened_at": "2026-11-13T09:00:00Z",
                    "looked_at_next": "2026-12-14T09:00:00Z",
                    "parts": [{"part": "people", "holds": True, "measured": 1, "threshold": 2}],
                }
            ],
            "opportunities": [],
            "conditions": _CONDITIONS,
        }
    ],
}

_HASH = "1e49420672f28c3615bedfb701cd27ef2c87aa7fd63a2b4970e71b7f89c31c1f"
_EFFECT = {
    "counts_from_publish": ["first_output"],
    "newly_required": ["first_data"],
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
