"""The ending shows every account, the two figures computed by their definitions, and the verdict."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from deploy.demo.proof import prove
from deploy.demo.results import figures, print_results
from deploy.demo.scenario import ACCOUNTS
from tests.unit.demo.observations import OUTAGE, all_is_well, but


def _rows(*days: float | None) -> list[dict[str, Any]]:
    return [
        {
            "id": account.id,
            "plans": [
                {
                    "plan": "b2b-saas",
                    "status": "stalled" if value is None else "on_track",
                    "completion_rate": 0.5,
                    "ttfv_days": None if value is None else {"gross": value, "net": value},
                }
            ],
        }
        for account, value in zip(ACCOUNTS, days, strict=False)
    ]


def _printed(rows: list[dict[str, Any]], *, broken: bool = False) -> str:
    output = io.StringIO()
    proof = prove(but(outage=replace(OUTAGE, back_at_seconds=None)) if broken else all_is_well())
    print_results(Console(file=output, width=160, highlight=False), rows, proof)
    return output.getvalue()


def test_median_and_rate_follow_their_definitions() -> None:
    """The median is over those that reached first value, the rate over all that started."""
    text = figures(_rows(8.0, None, 20.0, 30.5))
    assert "median time to first value: 20.0 days (of the 3 that reached it)" in text
    assert "activation rate: 75% (3 of the 4 accounts that started)" in text


def test_nobody_reached_first_value() -> None:
    """Without a first value there is no median."""
    assert "unknown" in figures(_rows(None, None))


def test_every_account_has_a_row() -> None:
    """Names, segments and days are shown, then the proof and its verdict."""
    text = _printed(_rows(*([8.0] * 8)))
    assert all(account.name in text for account in ACCOUNTS)
    assert "after 8.0 days" in text
    assert "PROVED" in text
    assert "back after 7.0 s as 12" in text


def test_failure_is_said_instead_of_the_verdict() -> None:
    """A proof that fails never reads as one that holds."""
    text = _printed(_rows(*([8.0] * 8)), broken=True)
    assert "PROVED" not in text
    assert "FAILED     the engine did not come back after kill -9" in text
    assert "not seen again" in text
