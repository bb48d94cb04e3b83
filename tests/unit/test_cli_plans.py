"""`firstvalue plan` on files: new, check, test and show, without any service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.__main__ import new_command
from services.cli.output import Misused

PLAN = "plan: mine\nmilestones: {v: {when: {event: Report Made}}}\nfirst_value: v\n"
EXAMPLE = "days: 2\nrecords: [{day: 1, account: a, user: u, event: Report Made}]\nexpected:\n"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stack to ask, and a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTVALUE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("FIRSTVALUE_ENGINE_URL", raising=False)


def run(*words: str) -> Result:
    """The command with these words."""
    return CliRunner().invoke(new_command(), ["plan", *words], catch_exceptions=True)


def test_from_template_to_english(tmp_path: Path) -> None:
    """A new plan does what its example says, is valid, and reads as English; a second one replaces nothing."""
    assert "published as smb it is the newest version of that plan" in run("new", "--template", "smb").stdout
    assert (tmp_path / "plan.yaml").read_text().startswith("# Activation of small customers")
    assert run("test", "plan.yaml", "plan.example.yaml").stdout.endswith("all as expected\n")
    assert run("check", "plan.yaml").stdout == "smb is valid: From sign-up to a habit in 45 days\n"
    assert "\nRisks\n- Account quiet: nobody active for 10 days.\n" in run("show", "plan.yaml").stdout
    again = run("new")
    assert isinstance(again.exception, Misused)
    assert "is there already" in str(again.exception)


def test_list_and_unknown_templates() -> None:
    """Each with what it is for."""
    rows = json.loads(run("new", "--list", "--json").stdout)
    assert [one["template"] for one in rows] == ["b2b-saas", "smb", "abm-martech", "api-product"]
    assert isinstance(run("new", "--template", "none").exception, Misused)


def test_the_name_of_a_template_is_no_file_name(tmp_path: Path) -> None:
    """It would hold the default template; what was meant is told."""
    refused = run("new", "smb").exception
    assert isinstance(refused, Misused)
    assert "`firstvalue plan new --template smb`" in str(refused)
    assert not (tmp_path / "smb").exists()


def test_differences_end_with_status_1(tmp_path: Path) -> None:
    """Told line by line; `--write` makes them what is expected."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "e.yaml").write_text(EXAMPLE + "  - {day: 0, account: a, type: closed}\n")
    found = run("test", "plan.yaml", "e.yaml")
    assert found.exit_code == 1
    assert "missing     day 0  a  closed\n" in found.stdout
    assert "unexpected  day 1  a  milestone_reached  milestone v\n" in found.stdout
    assert json.loads(run("test", "plan.yaml", "e.yaml", "--json").stdout)["as_expected"] is False
    assert run("test", "plan.yaml", "e.yaml", "--write").exit_code == 0
    assert run("test", "plan.yaml", "e.yaml").exit_code == 0


def test_errors_have_lines(tmp_path: Path) -> None:
    """Of the plan and of the example alike."""
    (tmp_path / "plan.yaml").write_text(PLAN + "risks: {r: {for: 3d}}\n")
    (tmp_path / "e.yaml").write_text("days: 2\nrecords: 3\n")
    refused = run("check", "plan.yaml", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["errors"][0]["line"] == 4
    (tmp_path / "plan.yaml").write_text(PLAN)
    refused = run("test", "plan.yaml", "e.yaml")
    assert refused.exit_code == 1
    assert "e.yaml:2:10: `records` is not a list" in refused.stderr


def test_shape_and_rules_are_checked_together_or_told_apart(tmp_path: Path) -> None:
    """An unknown key hides no wrong name; where the shape does not allow to go on, it is said that more may follow."""
    (tmp_path / "plan.yaml").write_text(PLAN.replace("first_value: v", "first_value: w") + "graec: 3d\n")
    both = run("check", "plan.yaml")
    assert (both.exit_code, both.stderr.count("plan.yaml:")) == (1, 2)
    assert "there is no milestone `w`" in both.stderr
    assert "unknown key `graec`" in both.stderr
    assert "more may follow" not in both.stderr
    (tmp_path / "plan.yaml").write_text(PLAN.replace("first_value: v", "first_value: w") + "grace: soon\n")
    first = run("check", "plan.yaml")
    assert (first.exit_code, first.stderr.count("plan.yaml:")) == (1, 1)
    assert first.stderr.endswith("so more may follow.\n")
    assert json.loads(run("check", "plan.yaml", "--json").stdout)["more_follow"] is True


def test_names_never_seen_are_warnings(tmp_path: Path) -> None:
    """From a catalogue's file; a valid plan stays valid."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "seen.json").write_text('{"data": [{"name": "Report Mode"}], "next": null}')
    found = run("check", "plan.yaml", "--catalog", "seen.json")
    assert found.exit_code == 0
    assert "warning: plan.yaml:2:32: `Report Made` was never sent\n" in found.stderr
    answer = json.loads(run("check", "plan.yaml", "--catalog", "seen.json", "--json").stdout)
    assert [one["code"] for one in answer["warnings"]] == ["event_never_seen"]
    assert answer["names_checked"] is True
    offline = run("check", "plan.yaml", "--offline", "--json")
    assert (json.loads(offline.stdout)["names_checked"], offline.stderr) == (False, "")
    alone = run("check", "plan.yaml")
    assert (alone.exit_code, alone.stdout) == (0, "mine is valid: Mine\n")
    assert alone.stderr.startswith("warning: the event names are not checked: No local stack runs here")
    (tmp_path / "seen.json").write_text('["Report Mode"]')
    assert isinstance(run("check", "plan.yaml", "--catalog", "seen.json").exception, Misused)
    unanswered = run("check", "plan.yaml", "--engine-url", "http://127.0.0.1:9", "--key", "k")
    assert unanswered.exit_code == 0
    assert unanswered.stderr.count("warning: ") == 1
    assert "the event names are not checked" in unanswered.stderr


def test_many_names_never_seen_are_one_warning(tmp_path: Path) -> None:
    """An untouched template before any event is told once, with every name and its line; JSON keeps them apart."""
    assert run("new").exit_code == 0
    (tmp_path / "seen.json").write_text('{"data": [{"name": "training_complete"}], "next": null}')
    told = run("check", "plan.yaml", "--catalog", "seen.json")
    assert (told.exit_code, told.stderr.count("warning:")) == (0, 1)
    singly = json.loads(run("check", "plan.yaml", "--catalog", "seen.json", "--json").stdout)["warnings"]
    assert f"{len(singly)} event names were never sent\n" in told.stderr
    assert len(singly) > 10
    flowing = " ".join(told.stderr.split())
    for one in singly:
        assert f"{one['message'].removesuffix(' was never sent')} (line {one['line']})" in flowing
    assert "`Training Completed` (line 8); the nearest that were: `training_complete`" in told.stderr
