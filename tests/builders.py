"""Builders of valid things with only the interesting parts spelled out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.plan_set import LivePlan, PlanSet, Policy
from services.activation_engine.plans.loader import load_plan

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Monday, 2 November 2026, 00:00 UTC: day 0 of the tests.
START_MS = 1_793_577_600_000

_message_numbers = itertools.count(1)

SMALL_PLAN = """
plan: small
events:
  data.imported: [Data Imported]
  report.made: [Report Made]
start: [contract_start, first_event]
segments:
  smb: {pace: 0.5, window: 45d}
  large: {pace: 1, window: 90d}
  else: large
grace: 3d
milestones:
  data: {due: week 1, when: data.imported}
  output: {due: week 2, needs: [data], when: report.made}
  habit: {when: {event: report.made, count: 3}, required: false}
first_value: output
stalled: {overdue: 7d, quiet: 14d}
"""


def day(number: float) -> int:
    """The instant `number` days after day 0, in milliseconds."""
    return START_MS + round(number * DAY_MS)


def event(
    name: str = "Page Viewed",
    at: int = START_MS,
    *,
    account: str = "acme",
    message: str | None = None,
    user: str | None = "ann",
    kind: str = "track",
    appended: int | None = None,
    staff: bool = False,
    role: str | None = None,
    properties: dict[str, Any] | None = None,
) -> Event:
    """A product event; without `appended` it reached the log when it happened."""
    reached_log = at if appended is None else appended
    return Event(
        account_id=account,
        message_id=message or f"m{next(_message_numbers)}",
        type=kind,
        name=name,
        user_id=user,
        occurred_at_ms=at,
        received_at_ms=reached_log,
        appended_at_ms=reached_log,
        staff=staff,
        role=role,
        body=msgspec.json.encode({"event": name, "properties": properties or {}}),
    )


def traits(
    at: int = START_MS,
    *,
    account: str = "acme",
    message: str | None = None,
    appended: int | None = None,
    group: bool = False,
    **values: Any,
) -> Event:
    """A `set` command, or a group call; two underscores in a name stand for a dot."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    reached_log = at if appended is None else appended
    return Event(
        account_id=account,
        message_id=message or f"m{next(_message_numbers)}",
        type="group" if group else "command",
        name=None if group else "set",
        user_id=None,
        occurred_at_ms=at,
        received_at_ms=reached_log,
        appended_at_ms=reached_log,
        body=msgspec.json.encode({"traits": named}),
    )


def command(
    name: str, moment: int = START_MS, /, *, account: str = "acme", message: str | None = None, **fields: Any
) -> Event:
    """A command with these fields."""
    return Event(
        account_id=account,
        message_id=message or f"m{next(_message_numbers)}",
        type="command",
        name=name,
        user_id=None,
        occurred_at_ms=moment,
        received_at_ms=moment,
        appended_at_ms=moment,
        body=msgspec.json.encode({"command": name, "account_id": account, **fields}),
    )


def plan(text: str = SMALL_PLAN) -> Plan:
    """A checked plan from YAML."""
    return load_plan(text).plan


def plan_set(
    plans: Iterable[Plan] | None = None, *, version: int = 1, live_from: int = 0, policy: Policy = "silent"
) -> PlanSet:
    """A plan set of these plans, all of one version."""
    chosen = [plan()] if plans is None else plans
    return PlanSet.of(LivePlan(one, version, live_from, policy) for one in chosen)
