"""What the command line says of a command that was taken and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from services.cli.orders import doubts, order

PLANS: list[dict[str, Any]] = [
    {"plan": "mine", "milestones": [{"id": "value", "required": True}, {"id": "trained", "required": False}]}
]


@pytest.mark.parametrize(
    ("command", "doubt"),
    [
        (order("mark", "acme", milestone="trainde"), "No live plan of acme has a milestone trainde"),
        (order("waive", "acme", milestone="trainde"), "No live plan of acme has a milestone trainde (is it trained?)"),
        (order("waive", "acme", milestone="value"), "the first value, which cannot be waived"),
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
        order("move", "acme", plan=None),
        order("resume", "acme"),
    ],
)
def test_others_are_not(command: dict[str, Any]) -> None:
    """Nothing is said where nothing is odd."""
    assert not list(doubts(command, PLANS))
