"""The eight customers live the stories that their descriptions promise, also on a machine that is slow."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from deploy.demo.plan import plan_text
from deploy.demo.scenario import ACCOUNTS, ACTS, DAY_SECONDS, LAST_DAY, OUTAGE_DAY, Account, Act
from deploy.demo.topic_fold import LogRecord, TopicFold
from schemas.product_event import VERSION, ProductEvent, RecordType, Tick, encode
from schemas.timestamps import from_milliseconds
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.plans.loader import load_plan

_START_MS = 1_700_000_000_000
_DAY_MS = int(DAY_SECONDS * 1000)
_SETUP = ["system_live", "first_data", "first_workflow"]

_OPTIONAL = ["team_trained", "team_using"]

# Milestone ids, else what was announced; only set-up and what is optional are left out.
_TAKEN_UP_BY_NOBODY = ("next_problem opened", "next_problem missed")
_EXPECTED = {
    "bright-bakery": [
        *("first_output", "first value", "next_problem opened", "outcome", "activated", "next_problem missed"),
        *("second_outcome", "account_quiet opened"),
    ],
    "tiny-tooling": ["stalled by quiet", "account_quiet opened", "escalated"],
    "lumen-dental": [
        *("at_risk by milestone_overdue", "stalled by milestone_overdue", "recovered"),
        *("first_output", "first value", "next_problem opened", "escalated", "next_problem missed"),
        *("outcome", "activated", "account_quiet opened"),
    ],
    "cobalt-press": ["at_risk by milestone_overdue", "stalled by milestone_overdue", "escalated"],
    "aster-logistics": [
        *("first_output", "first value", *_TAKEN_UP_BY_NOBODY, "escalated", "outcome", "activated"),
        "account_quiet opened",
    ],
    "juniper-health": ["first_output", "first value", *_TAKEN_UP_BY_NOBODY, "outcome", "activated"],
    "granite-mutual": [
        *("at_risk by milestone_overdue", "first_output", "first value", "recovered"),
        *("next_problem opened", "escalated", "next_problem missed", "outcome", "activated", "account_quiet opened"),
    ],
    "orchard-group": [
        *("at_risk by milestone_overdue", "stalled by milestone_overdue", "recovered late"),
        *("first_output", "first value", *_TAKEN_UP_BY_NOBODY),
    ],
}


def _at(day: float) -> int:
    return _START_MS + round(day * _DAY_MS)


def _record(type_: RecordType, account_id: str, sent_ms: int, happened_ms: int, **fields: Any) -> LogRecord:
    event = ProductEvent(
        v=VERSION,
        source="test",
        type=type_,
        account_id=account_id,
        received_at=from_milliseconds(sent_ms),
        occurred_at=from_milliseconds(happened_ms),
        body=msgspec.Raw(msgspec.json.encode(fields.pop("body", {}))),
        **fields,
    )
    return LogRecord(partition=0, append_ms=sent_ms, key=account_id.encode(), value=encode(event))


def _contract(account: Account, delay_days: float) -> LogRecord:
    signed_ms, sent_ms = _at(0), _at(delay_days)
    traits = {
        "name": account.name,
        "segment": account.segment,
        "owner": account.owner,
        "contract_start": from_milliseconds(signed_ms).isoformat(),
    }
    body = {"command": "set", "account_id": account.id, "traits": traits}
    return _record("command", account.id, sent_ms, sent_ms, event="set", message_id=f"c-{account.id}", body=body)


def _act(act: Act, number: int, delay_days: float) -> LogRecord:
    delay = 0 if act.is_late else delay_days
    fields = {"event": act.event or "page.viewed", "user_id": act.person, "message_id": f"a-{number}"}
    type_: RecordType = "track" if act.event else "page"
    return _record(type_, act.account_id, _at(act.day + delay_days), _at(act.happened_day + delay), **fields)


def _tick(ms: int) -> LogRecord:
    return LogRecord(partition=0, append_ms=ms, key=None, value=encode(Tick(VERSION, from_milliseconds(ms))))


def _play(delay_days: float = 0.0, *, copies_max: int = 9) -> TopicFold:
    records = [_contract(account, delay_days) for account in ACCOUNTS]
    for number, act in enumerate(ACTS):
        records += [_act(act, number, delay_days)] * min(act.copies, copies_max)
    records += [_tick(ms) for ms in range(_START_MS - 1000, _at(LAST_DAY), 100)]
    fold = TopicFold(PlanSet.of([LivePlan(load_plan(plan_text(day=f"{_DAY_MS}ms")).plan, 1, 0)]))
    fold.read(sorted(records, key=lambda record: record.append_ms))
    return fold


def _in_short(signal: dict[str, Any]) -> str:
    match signal["type"].removeprefix("account."):
        case "milestone_reached":
            return str(signal["milestone"]["id"])
        case "first_value_reached":
            return "first value"
        case "at_risk" | "stalled" as kind:
            return f"{kind} by {signal['reason']}"
        case "recovered":
            return "recovered late" if signal["late"] else "recovered"
        case "risk_opened" | "opportunity_opened":
            return f"{signal['risk'] or signal['opportunity']} opened"
        case "opportunity_closed":
            return f"{signal['opportunity']} {signal['outcome']}"
        case kind:
            return str(kind)


@pytest.mark.parametrize("delay_days", [0.0, 1.0])
def test_stories_end_as_told(delay_days: float) -> None:
    """Each account's signals come in the promised order, also when everything arrives 0.8 s late."""
    fold = _play(delay_days)
    for account in ACCOUNTS:
        told = [_in_short(signal) for signal in fold.owed.values() if signal["account"]["id"] == account.id]
        notable = [one for one in told if one not in (*_SETUP, *_OPTIONAL, "activation_started")]
        assert notable == _EXPECTED[account.id], account.name
        assert told[0] == "activation_started"
        assert [one for one in _SETUP if one in told] == ([] if account.id == "cobalt-press" else _SETUP)


def test_every_signal_is_live() -> None:
    """Endpoints skip all but live signals unless they ask, and the demo's do not."""
    assert {signal["origin"] for signal in _play().owed.values()} == {"live"}


def test_scenario_has_what_the_proof_needs() -> None:
    """Eight accounts in three segments, doubled and late events."""
    assert len(ACCOUNTS) == 8
    assert {account.segment for account in ACCOUNTS} == {"smb", "mid_market", "enterprise"}
    assert any(act.copies > 1 for act in ACTS)
    assert any(act.is_late for act in ACTS)
    assert max(act.day for act in ACTS) < LAST_DAY
    assert LAST_DAY * DAY_SECONDS <= 75


def test_engine_that_trusted_its_own_clock_would_stall_an_account() -> None:
    """By what the engine knows when it is killed, an account goes quiet while it is down; a visit that only the log
    holds prevents that. Kafka waits 6 s, 7.5 days, before it gives the partitions to the successor."""
    visits = [act.day for act in ACTS if act.account_id == "juniper-health"]
    deadline_as_known = max(day for day in visits if day < OUTAGE_DAY) + 14
    visit_unseen = min(day for day in visits if day > OUTAGE_DAY)
    assert OUTAGE_DAY < visit_unseen < deadline_as_known - 2
    assert deadline_as_known < OUTAGE_DAY + 6


def test_doubles_change_nothing() -> None:
    """An event under one message id counts once, however often it comes."""
    doubled, single = _play(), _play(copies_max=1)
    assert doubled.message_ids.total() > single.message_ids.total()
    assert list(doubled.owed) == list(single.owed)
