"""What verbs say of an answer, with the services' answers made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.activation_engine.api import examples
from services.cli import client
from services.cli.__main__ import new_command
from services.cli.output import Misused, Refused, Unreachable, counted

Answers = dict[str, Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command with these words, where every path answers what `answers` has for it, or raises."""
    for service in ("INGEST", "ENGINE", "NOTIFIER"):
        monkeypatch.setenv(f"FIRSTVALUE_{service}_URL", "http://service.example")
    monkeypatch.setenv("FIRSTVALUE_API_KEY", "k")

    def run_words(answers: Answers, *words: str) -> Result:
        def ask(_: object, method: str, path: str, **__: object) -> Any:
            answer = answers[f"{method} {path}"]
            if isinstance(answer, BaseException):
                raise answer
            return answer

        monkeypatch.setattr(client.Client, "ask", ask)
        return CliRunner().invoke(new_command(), words)

    return run_words


Run = Callable[..., Result]


class FrozenClock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def monotonic(self) -> float:
        """Seconds slept."""
        return self._seconds

    def sleep(self, seconds: float) -> None:
        """At once."""
        self._seconds += seconds


def test_numbers_have_their_plural() -> None:
    """One row, no rows, two deliveries."""
    assert counted(1, "row") == "1 row"
    assert counted(0, "row") == "0 rows"
    assert counted(2, "delivery", "deliveries") == "2 deliveries"


def test_a_service_that_asks_for_time_gets_it_within_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """It is told once that it takes longer; nobody waits for hours, or for what no time will change."""

    def answers_after(*pauses_seconds: float | None) -> Callable[[], str]:
        left = list(pauses_seconds)

        def ask() -> str:
            if not left:
                return "taken"
            failure = Refused("Over its quota", problem={})
            failure.retry_after_seconds = left.pop(0)
            raise failure

        return ask

    assert client.patiently(answers_after(0)) == "taken"
    assert capsys.readouterr().err == ""
    assert client.patiently(answers_after(0, 0, 0)) == "taken"
    assert capsys.readouterr().err.count("still trying") == 1
    for never in (None, 3_600.0):
        with pytest.raises(Refused):
            client.patiently(answers_after(0, never))


def test_what_an_answer_takes_counts_as_waiting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service whose broker stands still takes seconds for each refusal: ten minutes are not an hour of those."""
    clock = FrozenClock()
    monkeypatch.setattr(client, "time", clock)

    def ask() -> None:
        clock.sleep(5)
        failure = Refused("Kafka does not confirm", problem={})
        failure.retry_after_seconds = 1.0
        raise failure

    with pytest.raises(Refused):
        client.patiently(ask)
    assert 590 <= clock.monotonic() <= 605
    assert "for 10 minutes in all" in capsys.readouterr().err


def test_an_endpoint_for_a_plan_that_is_not_live_is_pointed_out(run: Run) -> None:
    """With the name that was meant; it is added all the same, as the plan may be published later."""
    answers: Answers = {
        "POST /v1/endpoints": {"id": "ep_1", "secret": "whsec_x", "public_key": None},
        "GET /v1/plans": {"data": [{"plan": "b2b-saas"}], "next": None},
    }
    words = ("endpoint", "add", "https://crm.example/hook", "--plan", "b2b-saas", "--plan")
    added = run(answers, *words, "b2b-sas")
    assert (added.exit_code, added.stdout) == (0, "id      ep_1\nsecret  whsec_x\n")
    assert added.stderr == "No plan b2b-sas is live (is it b2b-saas?); the endpoint gets nothing of it until one is.\n"
    assert run(answers, *words[:5]).stderr == ""
    refused = run(answers | {"GET /v1/plans": Unreachable("Nobody answers.")}, *words, "b2b-sas")
    assert (refused.exit_code, refused.stderr) == (0, "whether these plans are live is not checked: Nobody answers.\n")


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


def test_an_event_is_somebodys(run: Run) -> None:
    """Ingest would keep it as a dead letter; a property may name the account."""
    answers: Answers = {"POST /v1/batch": {"errors": []}, "GET /v1/events": {"data": []}}
    assert isinstance(run(answers, "event", "send", "Recipe Saved").exception, Misused)
    for whose in (["--account", "acme"], ["--user", "kim"], ["--property", "account_id=acme"]):
        sent = run(answers, "event", "send", "Recipe Saved", *whose)
        assert (sent.stdout, sent.stderr) == ("accepted 1, rejected 0\n", "")


@pytest.mark.parametrize(("at", "told"), [("2199-01-01", "--at is to come"), ("yesterday", "no date"), ("", "no date")])
def test_an_event_has_happened(run: Run, at: str, told: str) -> None:
    """Ingest would count one that is to come as of now, and say so only where nobody looks."""
    refused = run({}, "event", "send", "Recipe Saved", "--account", "acme", "--at", at).exception
    assert isinstance(refused, Refused)
    assert told in str(refused)


def test_a_list_of_keys_shows_what_each_may_send(run: Run) -> None:
    """As it was set, and nothing of what was not."""
    key: dict[str, Any] = {"id": "k1", "name": "app", "scopes": ["events:write"], "origins": [], "limits": None}
    quota = {"events_per_second": 500.0, "bytes_per_second": None, "burst_seconds": 10.0}
    key |= {"quota": quota, "redaction": {"drop": ["context.ip", "a.b"], "hash": []}}
    answers: Answers = {"GET /v1/keys": {"data": [key, {**key, "id": "k2", "quota": None}], "next": None}}
    _, first, second = run(answers, "key", "list").stdout.splitlines()
    assert "events_per_second 500, burst_seconds 10 - drop context.ip a.b - " in " ".join(first.split())
    assert "burst" not in second
    assert json.loads(run(answers, "key", "list", "--json").stdout)[0]["quota"] == quota


@pytest.mark.parametrize(("waiting", "told"), [(True, True), (None, True), (False, False)])
def test_an_event_that_waits_for_its_account_says_so(run: Run, waiting: bool | None, told: bool) -> None:
    """With what ends the wait; a person who is known by now is nothing to tell of."""
    answers: Answers = {"POST /v1/batch": {"errors": []}, "GET /v1/events": {"data": [{"waiting": waiting}]}}
    sent = run(answers, "event", "send", "Recipe Saved", "--user", "kim")
    assert sent.stdout == "accepted 1, rejected 0\n"
    assert ("a group call says of which account kim is" in sent.stderr) == told
    assert run(answers, "event", "send", "Recipe Saved", "--user", "kim", "--account", "acme").stderr == ""


def test_a_key_that_only_writes_is_told_of_what_was_accepted(run: Run) -> None:
    """It may not ask whose the event is."""
    answers: Answers = {"POST /v1/batch": {"errors": []}, "GET /v1/events": Refused("Lacks accounts:read.")}
    sent = run(answers, "event", "send", "Recipe Saved", "--user", "kim")
    assert (sent.exit_code, sent.stdout, sent.stderr) == (0, "accepted 1, rejected 0\n", "")


@pytest.mark.parametrize(("lines", "following", "older"), [("1", None, True), ("9", None, False), ("9", "c", True)])
def test_a_tail_that_ends_says_what_it_leaves_out(run: Run, lines: str, following: str | None, older: bool) -> None:
    """Of one page, or of further ones."""
    row = dict.fromkeys(("account_id", "user_id", "event", "type", "reason", "message", "received_at"))
    row |= {"at": "2026-11-20T10:00:00Z", "status": "dead", "flags": [], "staff": False, "waiting": None}
    row |= {"resolved_by": None, "message_id": None}
    answers = {"GET /v1/events": {"data": [row, row], "next": following, "latest": "p"}}
    told = run(answers, "event", "tail", "--no-follow", "--status", "dead", "--lines", lines).stderr
    assert ("--lines N" in told) == older


def test_a_command_that_nobody_waits_for_is_not_lost(run: Run) -> None:
    """Whoever interrupts the wait has given it all the same."""
    answers: Answers = {"POST /v1/commands": {"position": "p"}, "GET /v1/accounts/acme": KeyboardInterrupt()}
    interrupted = run(answers, "account", "resume", "acme", "--new")
    assert (interrupted.exit_code, interrupted.stdout) == (130, "")
    assert "The resume of acme is accepted and will not be lost" in interrupted.stderr


def test_an_import_that_is_interrupted_says_what_it_leaves(run: Run, tmp_path: Path) -> None:
    """It can be begun again."""
    file = tmp_path / "accounts.csv"
    file.write_text("account_id,name\nacme,Acme\n")
    interrupted = run({"POST /v1/commands": KeyboardInterrupt()}, "account", "import", str(file))
    assert interrupted.exit_code == 130
    assert "the same file again sets nothing twice" in interrupted.stderr


def test_an_import_of_a_header_alone_says_that_nothing_was_sent(run: Run, tmp_path: Path) -> None:
    """An export that found nothing, which is no mistake of the file."""
    file = tmp_path / "accounts.csv"
    file.write_text("account_id,name\n")
    done = run({}, "account", "import", str(file))
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "there is no row below the header; nothing was sent")


def test_an_account_that_was_closed_by_hand_says_why(run: Run) -> None:
    """The reason that somebody gave, from the explanation."""
    (plan,) = examples.ACCOUNT["plans"]
    closed = {**examples.ACCOUNT, "plans": [{**plan, "status": "closed", "reason": "closed_by_hand"}]}
    why = "It was closed by hand (Contract ended); reopening it resumes the plan."
    explained = {"plans": [{"plan": plan["plan"], "next": why}]}
    answers = {"GET /v1/accounts/acme": closed, "GET /v1/accounts/acme/explain": explained}
    assert why in run(answers, "account", "show", "acme").stdout
    assert why not in run({"GET /v1/accounts/acme": examples.ACCOUNT}, "account", "show", "acme").stdout


@pytest.mark.parametrize(("live", "told"), [([], True), ([{"plan": "smb"}], False)])
def test_an_account_under_no_plan_says_whether_any_is_live(run: Run, live: list[dict[str, str]], told: bool) -> None:
    """Else one looks for the fault in the account."""
    answers: Answers = {
        "GET /v1/accounts/acme/explain": {"text": "acme runs under no live plan.", "plans": [], "snoozes": []},
        "GET /v1/plans": {"data": live, "next": None},
    }
    explained = run(answers, "account", "explain", "acme")
    assert explained.stdout == "acme runs under no live plan.\n"
    assert ("No plan is live at all" in explained.stderr) == told


def test_a_new_key_is_all_that_is_printed(run: Run) -> None:
    """A script takes it; people are told that they see it once, and by what it is listed."""
    done = run(
        {"POST /v1/keys": {"id": "k7", "key": "fv_k7_secret"}}, "key", "create", "web", "--scope", "events:write"
    )
    assert done.stdout == "fv_k7_secret\n"
    assert "k7" in done.stderr


def test_a_tail_of_nothing_says_so(run: Run) -> None:
    """On standard error, and whether there is nothing at all or nothing of the kind."""
    empty: Answers = {"data": [], "next": None, "latest": "p"}
    answers: Answers = {"GET /v1/events": empty, "GET /v1/signals": empty}
    assert run(answers, "signal", "tail", "--no-follow").stderr == "no signals yet\n"
    assert run(answers, "event", "tail", "--no-follow").stderr == "no events yet\n"
    assert run(answers, "event", "tail", "--no-follow", "--status", "dead").stderr == "no such events\n"


def test_what_services_advise_is_said_as_verbs_and_options() -> None:
    """A field of a body or a query is an option here, and a list is a verb."""
    told = client._for_people("Correct body.timeout_seconds: Input should be less than or equal to 30.")
    assert told == "Correct timeout_seconds: must be less than or equal to 30."
    told = client._for_people("Correct body.name: String should have at least 1 character.")
    assert told == "Correct name: must have at least 1 character."
    told = client._for_people("Correct body: a browser key is seen by everybody.")
    assert told == "A browser key is seen by everybody."
    told = client._for_people("There is no such endpoint; list the endpoints to find its id.")
    assert told == "There is no such endpoint; `firstvalue endpoint list` shows the ids."
