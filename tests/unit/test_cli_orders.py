"""What the command line says of a command that was taken and changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.cli.order_checks import check
from services.cli.orders import doubts, order
from services.cli.output import Refused

PLANS: list[dict[str, Any]] = [
    {"plan": "mine", "milestones": [{"id": "value", "required": True}, {"id": "trained", "required": False}]}
]


@pytest.mark.parametrize(
    ("command", "doubt"),
    [
        (order("mark", "acme", milestone="trainde"), "No live plan of acme has a milestone trainde"),
        (order("waive", "acme", milestone="trainde"), "No live plan of acme has a milestone trainde (is it trained?)"),
        (
            order("waive", "acme", milestone="value"),
            "value stays required under mine: its first value",
        ),
        (
            order("set", "acme", traits={"waived.value": True}),
            "value stays required under mine: its first value",
        ),
        (
            order("set", "acme", traits={"reached.trainde": "2026-11-01"}),
            "of acme has a milestone trainde (is it trained?)",
        ),
        (order("set", "acme", traits={"waived.other": True, "seats": 3}), "of acme has a milestone other;"),
    ],
)
def test_a_command_that_changes_nothing_is_doubted(command: dict[str, Any], doubt: str) -> None:
    """Applied all the same, since a plan may come; but a misspelt name is seen at once."""
    (found,) = doubts(command, PLANS)
    assert doubt in found


@pytest.mark.parametrize(
    "command",
    [
        order("mark", "acme", milestone="value"),
        order("waive", "acme", milestone="trained"),
        order("set", "acme", traits={"reached.value": "2026-11-01", "reached.gone": None, "reached": "x"}),
        order("set", "acme", traits={"waived.trained": True, "waived.value": None}),
        order("move", "acme", plan=None),
        order("resume", "acme"),
    ],
)
def test_others_are_not(command: dict[str, Any]) -> None:
    """Nothing is said where nothing is odd."""
    assert not list(doubts(command, PLANS))


NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (order("set", "acme", traits={"contract_start": "garbage"}), "contract_start is no date"),
        (order("set", "acme", traits={"renewal_at": "2300-01-01"}), "renewal_at is no date"),
        (order("set", "acme", traits={"reached.trained": "2026-12-01"}), "reached.trained is to come"),
        (order("pause", "acme", reason="x", side="us", until="2020-01-01"), "--until is over"),
        (order("pause", "acme", reason="x", side="us", until="soon"), "--until is no date"),
        (order("mark", "acme", milestone="trained", at="2026-12-01"), "--at is to come"),
        (order("snooze", "acme", kind="first_value_reached", until="2026-12-01"), "cannot be snoozed"),
    ],
)
def test_typing_errors_are_refused_here(command: dict[str, Any], complaint: str) -> None:
    """Ingest would refuse them too, and keep each as a dead letter that looks like a fault of the product."""
    with pytest.raises(Refused, match=complaint):
        check(command, NOW)


@pytest.mark.parametrize(
    "command",
    [
        order("set", "acme", traits={"contract_start": None, "seats": 3, "renewal_at": "2027-01-01"}),
        order("set", "acme", traits={"reached.trained": "2026-11-20T10:04:00Z", "plan": "soon"}),
        order("pause", "acme", reason="x", side="us", until=None),
        order("snooze", "acme", kind="at_risk", until="2020-01-01"),
        order("mark", "acme", milestone="trained", at="2026-11-20"),
    ],
)
def test_what_ingest_takes_is_sent(command: dict[str, Any]) -> None:
    """A snooze that is over lifts one; a clock may be five minutes ahead."""
    check(command, NOW)
