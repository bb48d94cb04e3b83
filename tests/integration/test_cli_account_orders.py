"""`firstvalue account set, pause, mark …`: the command each posts by ingest's own checks, and what is printed then."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import COMMANDS
from services.cli.__main__ import main
from services.runtime.access import Scope
from services.runtime.problems import problem_body
from tests.fakes.stand_in_services import StandInServices, stand_in_services

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
STALLED: dict[str, Any] = {"plan": "b2b-saas", "status": "stalled", "reason": "quiet", "milestones": []}
ON_TRACK: dict[str, Any] = {"plan": "abm", "status": "on_track", "reason": None, "milestones": []}
OUTPUT = {"id": "first_output", "required": True}
LATE = (504, problem_body("not_yet_applied", "Ask again.", "r-2"))
UNKNOWN = (404, problem_body("account_unknown", "Check the id.", "r-3"))

# What the status does not show.
DONE = {
    "note": "{event} noted; ",
    "snooze": "{kind} snoozed until {until}; ",
    "mark": "{milestone} marked as reached; ",
    "waive": "{milestone} waived; ",
}

Run = Callable[..., int]


class Answering(io.StringIO):
    """A terminal with somebody who types this."""

    def isatty(self) -> bool:
        """As a terminal is."""
        return True


@pytest.fixture
def services() -> Iterator[StandInServices]:
    """Where the commands go; the engine knows acme, once."""
    with stand_in_services() as running:
        running.account_answers = [(200, {"id": "acme", "plans": [STALLED, ON_TRACK]})]
        running.plans = {"abm": ["list_built"], "b2b-saas": ["first_output"]}
        yield running


@pytest.fixture
def run(services: StandInServices, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`firstvalue account` with these words; its exit status."""
    for service in ("INGEST", "ENGINE"):
        monkeypatch.setenv(f"FIRSTVALUE_{service}_URL", services.url)
    monkeypatch.setenv("FIRSTVALUE_API_KEY", "k")

    def run_words(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["firstvalue", "account", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run_words


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (
            ["set", "acme", "segment=smb", "seats=12", "vip=true", "crm_id=0015", "note=a=b", "owner=", "old=null"],
            {
                "traits": {
                    "segment": "smb",
                    "seats": 12,
                    "vip": True,
                    "crm_id": "0015",
                    "note": "a=b",
                    "owner": None,
                    "old": None,
                }
            },
        ),
        (
            ["set", "acme", "a=NaN", "b=[1]", 'c="15"', "d=1e999", "e=123456789012345678901234567890"],
            {"traits": {"a": "NaN", "b": "[1]", "c": "15", "d": "1e999", "e": "123456789012345678901234567890"}},
        ),
        (["note", "acme", "conversation.held", "--text", "hi"], {"event": "conversation.held", "text": "hi"}),
        (
            ["pause", "acme", "--reason", "Freeze", "--side", "customer", "--until", "2199-01-04"],
            {"reason": "Freeze", "side": "customer", "until": "2199-01-04"},
        ),
        (["pause", "acme", "--reason", "Freeze", "--side", "us"], {"reason": "Freeze", "side": "us", "until": None}),
        (["resume", "acme"], {}),
        (["snooze", "acme", "at_risk", "--until", "2026-12-01"], {"kind": "at_risk", "until": "2026-12-01"}),
        (
            ["snooze", "acme", "single_threaded", "--until", "2026-12-01"],
            {"kind": "single_threaded", "until": "2026-12-01"},
        ),
        (["mark", "acme", "first_output", "--at", "2026-01-02"], {"milestone": "first_output", "at": "2026-01-02"}),
        (["waive", "acme", "first_output"], {"milestone": "first_output"}),
        (["move", "acme", "abm"], {"plan": "abm"}),
        (["move", "acme", "--back"], {"plan": None}),
        (["close", "acme", "--reason", "Left"], {"reason": "Left"}),
        (["reopen", "acme"], {}),
        (["erase", "acme", "--yes"], {}),
        (["erase-person", "acme", "u-1", "--yes"], {"user_id": "u-1"}),
    ],
)
def test_each_verb_gives_its_command(
    run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str], words: list[str], fields: dict[str, Any]
) -> None:
    """Ingest takes it, the engine is asked for the account past its position, and one line says what now is."""
    assert run(*words) == 0
    name = words[0].replace("-", "_")
    assert services.commands == [{"command": name, "account_id": "acme", **fields}]
    assert services.asked == [f"/v1/accounts/acme?after={services.position}"]
    now = f"{DONE.get(name, '')}stalled (quiet) under b2b-saas; on_track under abm"
    printed = capsys.readouterr().out
    assert printed == f"acme: {'nothing names u-1 any more' if name == 'erase_person' else now.format(**fields)}\n"


@pytest.mark.parametrize(
    ("words", "fields", "done"),
    [
        (["fit"], {"cause": "fit", "action": None}, "diagnosed as fit"),
        (
            ["execution", "--action", "help"],
            {"cause": "execution", "action": "help"},
            "diagnosed as execution, action help",
        ),
    ],
)
def test_a_diagnosis_is_told(
    run: Run,
    services: StandInServices,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    fields: dict[str, Any],
    done: str,
) -> None:
    """It changes no status, so that nothing else would show it."""
    assert run("diagnose", "acme", *words) == 0
    assert services.commands == [{"command": "diagnose", "account_id": "acme", **fields}]
    assert capsys.readouterr().out == f"acme: {done}; stalled (quiet) under b2b-saas; on_track under abm\n"


def test_every_command_has_a_verb(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Named as the command, with hyphens."""
    assert run("--help") == 0
    verbs = {line.strip("│ ").partition(" ")[0] for line in capsys.readouterr().out.splitlines()}
    assert {name.replace("_", "-") for name in COMMANDS} <= verbs


@pytest.mark.parametrize(("length", "ahead"), [("14d", timedelta(days=14)), ("2h", timedelta(hours=2))])
def test_a_length_is_counted_from_now(run: Run, services: StandInServices, length: str, ahead: timedelta) -> None:
    """For those who think in days from today."""
    before = datetime.now(UTC)
    assert run("snooze", "acme", "stalled", "--until", length) == 0
    until = datetime.fromisoformat(services.commands[0]["until"])
    assert before - timedelta(seconds=1) <= until - ahead <= datetime.now(UTC)


def test_a_plan_that_is_not_live_takes_no_account(
    run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is given, for it would take the account from the plan that it was moved to before."""
    assert run("move", "acme", "b2b") == REFUSED
    assert services.commands == []
    assert "No plan b2b is live, and nothing was changed. Live is one of abm, b2b-saas." in capsys.readouterr().err
    services.plans = {}
    assert run("move", "acme", "b2b") == REFUSED
    assert "publish it first" in capsys.readouterr().err


def test_a_milestone_that_no_plan_has_is_told(
    run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Alike by `mark`, by its trait and of a column; the column also before anything is sent."""
    told = "has a milestone first_outptu"
    for words in (["mark", "acme", "first_outptu"], ["set", "acme", "reached.first_outptu=2026-01-02"]):
        services.account_answers = [(200, {"id": "acme", "plans": [{**STALLED, "milestones": [OUTPUT]}]})]
        assert run(*words) == 0
        assert f"No live plan of acme {told} (is it first_output?)" in capsys.readouterr().err
    file = tmp_path / "a.csv"
    file.write_text("account_id,reached.first_outptu,reached.list_built\nacme,2026-01-02,2026-01-02\n")
    assert run("import", str(file), "--check") == 0
    printed = capsys.readouterr()
    assert f"warning: No live plan {told} (is it first_output?)" in printed.err
    assert "list_built" not in printed.err
    assert run("import", str(file), "--check", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 1
    assert run("import", str(file), "--check", "--engine-url", "http://127.0.0.1:1") == 0
    assert "warning: the milestones are not checked: " in capsys.readouterr().err
    services.contents = {"abm": {"first_value": "list_built"}}
    file.write_text("account_id,waived.list_built\nacme,true\n")
    assert run("import", str(file)) == REFUSED
    assert "line 2, column waived.list_built: write false or nothing" in capsys.readouterr().err


def test_a_program_gets_the_answer_and_the_account(
    run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json; without waiting there is no account to show."""
    assert run("resume", "acme", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["accepted"], printed["account"]["id"]) == (1, "acme")
    assert run("resume", "acme", "--json", "--no-wait") == 0
    assert "account" not in json.loads(capsys.readouterr().out)
    assert run("resume", "acme", "--no-wait") == 0
    assert capsys.readouterr().out == "acme: resume is on its way\n"
    assert len(services.asked) == 1


def test_waiting_goes_on_while_the_engine_is_behind(
    run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a minute, then exit status 1 and a sentence that says the command is not lost."""
    services.account_answers = [LATE, LATE, (200, {"id": "acme", "plans": []})]
    assert run("resume", "acme") == 0
    assert capsys.readouterr().out == "acme: no plan applies\n"
    services.account_answers = [LATE] * 6
    assert run("resume", "acme") == REFUSED
    assert "will not be lost" in capsys.readouterr().err


def test_an_erased_account_is_gone(run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str]) -> None:
    """That nobody knows it is what was asked for; after any other command it is a refusal."""
    services.account_answers = [UNKNOWN, UNKNOWN, UNKNOWN]
    assert run("erase", "acme", "--yes") == 0
    assert capsys.readouterr().out == "acme: erased\n"
    assert run("erase", "acme", "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["account"] is None
    assert run("resume", "acme") == REFUSED
    assert "account_unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["pause", "acme", "--reason", "x", "--side", "us", "--until", "2020-01-01"], REFUSED, "a date to come"),
        (["snooze", "acme", "first_value_reached", "--until", "14d"], REFUSED, "never be told"),
        (["snooze", "acme", "at_rsik", "--until", "14d"], REFUSED, "opportunity_closed, single_threaded."),
        (["note", "acme", "held"], REFUSED, "with a dot"),
        (["set", "acme", "contract_start=soon"], REFUSED, "contract_start is no date"),
        (["waive", "acme", "value"], REFUSED, "value is the first value, which cannot be waived"),
        (["waive", "nobody", "value"], REFUSED, "value is the first value, which cannot be waived"),
        (["set", "acme", "waived.value=true"], REFUSED, "value is the first value, which cannot be waived"),
        (["set", "acme", "waived.list_built=yes"], REFUSED, "Send waived.list_built as true"),
        (["snooze", "acme", "at_risk", "--until", "99999d"], REFUSED, "2026-12-01"),
        (["set", "acme", "segment"], USAGE, "name=value"),
        (["set", "acme", "=smb"], USAGE, "name=value"),
        (["move", "acme"], USAGE, "--back"),
        (["move", "acme", "abm", "--back"], USAGE, "--back"),
        (["pause", "acme", "--reason", "x"], USAGE, "--side"),
        (["diagnose", "acme", "luck"], USAGE, "execution"),
        (["erase", "acme"], USAGE, "--yes"),
        (["erase-person", "acme", "u-1"], USAGE, "--yes"),
        (["resume", "acme", "--ingest-url", "http://127.0.0.1:1"], UNREACHABLE, "http://127.0.0.1:1"),
        (["resume", "acme", "--engine-url", "127.0.0.1:1"], USAGE, "is not an address"),
    ],
)
def test_what_is_not_taken_changes_nothing(
    run: Run,
    services: StandInServices,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    complaint: str,
) -> None:
    """Refused by ingest, used wrongly, unconfirmed or with nobody there: the exit status tells which."""
    services.plans["b2b-saas"] = ["first_output", "value"]
    services.contents = {"b2b-saas": {"first_value": "value"}}
    services.unseen = frozenset({"nobody"})
    assert run(*words) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert complaint in printed.err
    assert services.commands == []


def test_a_trait_that_starts_a_plan_is_doubted_as_no_date(
    run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is set all the same: another plan may read it as a text."""
    services.contents = {"b2b-saas": {"start": ["go_live", "first_event"]}, "abm": {}}
    services.account_answers *= 3
    assert run("set", "acme", "go_live=soon") == 0
    assert "go_live is no date like 2026-12-01, and b2b-saas starts with it" in capsys.readouterr().err
    for fine in ("go_live=2026-12-01", "seats=3"):
        assert run("set", "acme", fine) == 0
        assert capsys.readouterr().err == ""


def test_an_account_that_nobody_ever_saw_is_pointed_out(
    run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program is told; a person is asked, and nothing is given unless they agree. `set` and --new begin accounts."""
    services.unseen = frozenset({"acmee"})
    services.account_answers *= 4
    assert run("resume", "acmee") == 0
    assert "Nobody has ever seen an account acmee" in capsys.readouterr().err
    assert run("set", "acmee", "segment=smb") == 0
    assert run("resume", "acmee", "--new") == 0
    assert run("resume", "acme") == 0
    assert capsys.readouterr().err == ""
    given = len(services.commands)
    monkeypatch.setattr(sys, "stdin", Answering("n\n"))
    assert run("resume", "acmee") == REFUSED
    assert "Nobody has ever seen an account acmee" in capsys.readouterr().err
    assert len(services.commands) == given == 4


def test_a_timeline_is_asked_for_once(run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str]) -> None:
    """What is superseded stands beside the signals."""
    services.account_answers = [(200, {"data": [], "next": None, "superseded": [{"plan": "a", "milestone": "b"}]})]
    assert run("timeline", "acme", "--json") == 0
    assert json.loads(capsys.readouterr().out)["superseded"] == [{"plan": "a", "milestone": "b"}]
    assert len(services.asked) == 1


def test_refusals_are_told_in_the_words_of_the_command_line(
    run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to type, not what to send; and what is no service of ours is told as such."""
    advised = problem_body("plan_unknown", "No such plan; GET /v1/plans lists those that are.", "r-7")
    services.account_answers = [(404, advised), (404, {"detail": "Not Found"})]
    assert run("resume", "acme") == REFUSED
    assert capsys.readouterr().err == (
        "No such plan; `firstvalue plan list` lists those that are. (plan_unknown, reference r-7)\n"
    )
    assert run("resume", "acme") == UNREACHABLE
    complaint = capsys.readouterr().err
    assert "where the engine should be" in complaint
    assert "404" not in complaint


def test_erasing_needs_an_admin_key(run: Run, services: StandInServices, capsys: pytest.CaptureFixture[str]) -> None:
    """Said in ingest's words."""
    services.scopes = frozenset({Scope.ACCOUNTS_WRITE})
    assert run("erase", "acme", "--yes") == REFUSED
    assert "scope admin" in capsys.readouterr().err
