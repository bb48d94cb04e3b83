"""What verbs say of an answer, with the services' answers made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli import client
from services.cli.__main__ import new_command
from services.cli.output import counted

Answers = dict[str, Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command with these words, where every path answers what `answers` has for the longest beginning of it."""
    for service in ("INGEST", "ENGINE", "NOTIFIER"):
        monkeypatch.setenv(f"FIRSTVALUE_{service}_URL", "http://service.example")
    monkeypatch.setenv("FIRSTVALUE_API_KEY", "k")

    def run_words(answers: Answers, *words: str) -> Result:
        def ask(_: object, method: str, path: str, **__: object) -> Any:
            return answers[f"{method} {path}"]

        monkeypatch.setattr(client.Client, "ask", ask)
        return CliRunner().invoke(new_command(), words)

    return run_words


Run = Callable[..., Result]


def test_numbers_have_their_plural() -> None:
    """One row, no rows, two deliveries."""
    assert counted(1, "row") == "1 row"
    assert counted(0, "row") == "0 rows"
    assert counted(2, "delivery", "deliveries") == "2 deliveries"


@pytest.mark.parametrize(("held", "told"), [(1, "1 delivery stays held"), (3, "3 deliveries stay held")])
def test_what_is_held_stays_so_until_it_is_asked_for(run: Run, held: int, told: str) -> None:
    """Said when it begins and when the endpoint is enabled, with the command that sends it."""
    answers: Answers = {
        "POST /v1/endpoints/ep_1/disable": {"id": "ep_1"},
        "POST /v1/endpoints/ep_1/enable": {"id": "ep_1", "held": held},
    }
    send = "`firstvalue endpoint enable ep_1 --send-held` sends"
    assert send in run(answers, "endpoint", "disable", "ep_1").stdout
    assert f"{told}: {send}" in run(answers, "endpoint", "enable", "ep_1").stdout
    assert run(answers, "endpoint", "enable", "ep_1", "--send-held").stdout == "ep_1 is enabled\n"
    answers["POST /v1/endpoints/ep_1/enable"]["held"] = 0
    assert run(answers, "endpoint", "enable", "ep_1").stdout == "ep_1 is enabled\n"


def test_a_replay_is_stopped_by_its_id(run: Run) -> None:
    """The line can be copied."""
    answers = {"POST /v1/endpoints/ep_1/replay": {"id": "rpl_7", "total": 1}}
    words = ("endpoint", "replay", "ep_1", "--since", "2026-11-01")
    told = "replay rpl_7: 1 delivery; stop it with `firstvalue endpoint cancel-replay rpl_7`\n"
    assert run(answers, *words).stdout == told
    assert run(answers, *words, "--dry-run").stdout == "1 delivery would be sent\n"


def test_deliveries_are_listed_with_their_time(run: Run) -> None:
    """When each was owed."""
    row = {"id": "dlv_1", "created_at": "2026-11-20T10:00:00Z", "type": "account.stalled", "status": "held"}
    listed = run({"GET /v1/deliveries": {"data": [row], "next": None}}, "delivery", "list").stdout
    assert "created at" in listed
    assert "2026-11-20T10:00:00Z" in listed
