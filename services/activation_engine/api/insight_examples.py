"""Example answers of the catalogue and the insights for OpenAPI; tests hold each against its document and its text."""

from __future__ import annotations

from typing import Any

_AS_OF = "2026-11-20T10:00:00Z"
_PLAN: dict[str, Any] = {"as_of": _AS_OF, "plan": "b2b-saas", "version": 3}

CATALOG = {
    "data": [
        {
            "name": "Report Generated",
            "count": 48_210,
            "first_seen_at": "2026-02-03T08:12:44Z",
            "last_seen_at": "2026-11-20T09:59:58Z",
            "used_by": ["b2b-saas"],
            "silent": False,
        }
    ],
    "next": None,
}

_STATUSES = {
    "not_started": 4,
    "on_track": 61,
    "at_risk": 12,
    "stalled": 9,
    "activated": 110,
    "paused": 1,
    "closed": 3,
}
STATUS = {
    "text": "110 of 200 accounts under b2b-saas are activated, 61 are on track. 12 are at risk and 9 stalled.",
    **_PLAN,
    "by": "month",
    "total": {"accounts": 200, "statuses": _STATUSES},
    "cohorts": [{"cohort": "2026-11", "accounts": 200, "statuses": _STATUSES}],
    "cohorts_left_out": 0,
}

_FUNNEL = {
    "accounts": 196,
    "milestones": [
        {
            "id": "first_data",
            "title": "First data",
            "required": True,
            "reached": 171,
            "share": 0.8724,
            "median_days": 4.2,
            "p90_days": 13.9,
            "reached_both": 0,
            "step_median_days": None,
            "step_p90_days": None,
        },
        {
            "id": "first_output",
            "title": "First output",
            "required": True,
            "reached": 118,
            "share": 0.602,
            "median_days": 19.5,
            "p90_days": 41.0,
            "reached_both": 118,
            "step_median_days": 14.1,
            "step_p90_days": 30.2,
        },
    ],
}
FUNNEL = {
    "text": "Of 196 accounts that started, 60% reached First output, the required milestone that the fewest reach."
    " The longest step is to First output: 14.1 days at the median.",
    **_PLAN,
    "by": "month",
    "total": _FUNNEL,
    "cohorts": [{"cohort": "2026-11", **_FUNNEL}],
    "cohorts_left_out": 0,
}

_RATE = {"rate": 0.6412, "low": 0.5721, "high": 0.7103, "accounts": 196}
_TTFV = {
    "accounts": 196,
    "reached": 118,
    "on_the_way": 78,
    "median_days": 27.4,
    "p90_days": None,
    "naive_median_days": 19.5,
    "activation_rate": _RATE,
    "curve": [{"day": 2.31, "at_risk": 196, "rate": 0.0051, "low": 0.0007, "high": 0.0357}],
}
TTFV = {
    "text": "64% reach first value within their window; half of 196 accounts reach first value within 27.4 days."
    " Counting only those that did, it would seem 19.5 days.",
    **_PLAN,
    "by": "month",
    "total": _TTFV,
    "cohorts": [{"cohort": "2026-11", **_TTFV}],
    "cohorts_left_out": 0,
}

_USE = {
    "accounts": 193,
    "mean_adoption": 0.4922,
    "distribution": [{"adoption": 0.2, "accounts": 52}, {"adoption": 0.6, "accounts": 141}],
    "features": [{"feature": "data.ingested, on 2 days", "accounts": 160, "share": 0.829}],
    "bands": {"none": 11, "low": 40, "medium": 82, "high": 60},
}
ADOPTION = {
    "text": "Of 193 accounts, 60 are active on 13 or more of the last 30 days and 11 on none."
    " On average an account uses 49% of the core features.",
    **_PLAN,
    "by": "month",
    "total": _USE,
    "cohorts": [{"cohort": "2026-11", **_USE}],
    "cohorts_left_out": 0,
}

OBSTACLES = {
    "text": "53 of 82 accounts on the way wait for First output, for 9 days at the median; 17 of them are at risk or"
    " stalled. What they did last most often: Data Imported.",
    **_PLAN,
    "accounts": 82,
    "obstacles": [
        {
            "milestone": "first_output",
            "title": "First output",
            "accounts": 53,
            "at_risk": 11,
            "stalled": 6,
            "waiting_median_days": 9.0,
            "waiting_p90_days": 26.5,
            "last_events": [{"event": "Data Imported", "accounts": 31}],
        }
    ],
}

OWNERS = {
    "text": "Most help is needed where dana@vendor.example is responsible: 8 of 40 accounts are at risk or stalled.",
    **_PLAN,
    "owners": [
        {
            "owner": "dana@vendor.example",
            "accounts": 40,
            "started": 39,
            "activated": 22,
            "at_risk": 5,
            "stalled": 3,
            "activation_rate": _RATE | {"accounts": 39},
            "median_days": 24.8,
        }
    ],
    "owners_left_out": 0,
}

SURPRISES = {
    "text": "2 event names are mentioned by no live plan; the most frequent is Dashboard Shared (9,120 times).",
    "as_of": _AS_OF,
    "names": 2,
    "events": [
        {
            "event": "Dashboard Shared",
            "count": 9_120,
            "first_seen_at": "2026-05-11T14:03:01Z",
            "last_seen_at": "2026-11-20T09:58:12Z",
        }
    ],
}
