"""The lines of `firstvalue account list`."""

from __future__ import annotations

from typing import Any

from services.cli.commands.accounts import lines_of

_STANDING = {"reason": None, "segment": None, "started_at": None, "first_value_at": None, "completion_rate": 0.5}

_ALL: dict[str, Any] = dict.fromkeys(("plan", "status", "segment", "milestone"))


def _row() -> dict[str, Any]:
    plans = [
        {**_STANDING, "plan": "fast", "status": "stalled", "reached": []},
        {**_STANDING, "plan": "smb", "status": "on_track", "segment": "eu", "reached": ["data", "value"]},
    ]
    return {"id": "acme", "traits": {}, "last_activity_at": None, "plans": plans}


def _listed(**wanted: str) -> list[str]:
    given = {**_ALL, **wanted}
    return [line[2] for line in lines_of(_row(), given)]


def test_only_the_plans_that_were_asked_for_are_listed() -> None:
    """An account that is found by one plan stands under others too."""
    assert _listed() == ["fast", "smb"]
    assert _listed(plan="smb") == ["smb"]
    assert _listed(status="stalled") == ["fast"]
    assert _listed(segment="eu") == ["smb"]
    assert _listed(milestone="value") == ["smb"]


def test_an_account_under_no_plan_has_a_line() -> None:
    """So that nobody is overlooked."""
    (line,) = lines_of({**_row(), "plans": []}, _ALL)
    assert line[0] == "acme"
    assert set(line[1:]) == {None}
