"""What the `firstvalue` command prints, whatever strangers wrote into names and answers."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.data_folder import DataFolder
from services.cli.__main__ import main
from services.cli.addresses import find
from services.cli.output import Unreachable, print_json, print_json_line, print_table, say


def test_nothing_printed_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are spelled out; text of any script stays as it is."""
    print_table(("name", "answer"), [["Žlutý 客户", "\x1b[31mred\nline\x9b"]], empty="none")
    say("first \x1b]0;title\x07\nsecond")
    assert capsys.readouterr().out.splitlines() == [
        "name        answer",
        r"Žlutý 客户  \x1b[31mred line\x9b",
        r"first \x1b]0;title\x07",
        "second",
    ]


def test_people_read_times_to_the_second(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read them as they are."""
    told = {"at": "2026-11-29T00:28:28.432480Z"}
    print_table(("at",), [told.values()], empty="none")
    say(f"next attempt {told['at']}, answered in 1.5 s")
    print_json(told)
    assert capsys.readouterr().out.splitlines() == [
        "at",
        "2026-11-29T00:28:28Z",
        "next attempt 2026-11-29T00:28:28Z, answered in 1.5 s",
        json.dumps(told),
    ]


def test_json_printed_does_not_command_the_terminal_either(capsys: pytest.CaptureFixture[str]) -> None:
    """And is still the same document."""
    told = {"name": "Žlutý\x9b31m", "answer": "\x1b[31m\x7f"}
    print_json(told)
    print_json_line(told)
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x7f", "\x9b"} & set(printed)
    assert [json.loads(line) for line in printed.splitlines()] == [told, told]


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error: a script that counts lines counts none."""
    print_table(("name", "answer"), [], empty="no accounts")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "no accounts\n")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["account", "list", "--status", "nosuch"], 2, {"code": "usage"}),
        (["account", "explane", "acme"], 2, {"code": "usage"}),
        (["event", "send"], 2, {"code": "usage"}),
        (["account", "erase", "acme"], 2, {"code": "usage"}),
        (["plan", "new", "--template", "nosuch"], 2, {"code": "usage"}),
        (["account", "list", "--engine-url", "http://127.0.0.1:1", "--key", "k"], 3, {"code": "unreachable"}),
    ],
)
def test_a_program_is_told_of_failures_by_an_object(
    words: list[str],
    status: int,
    told: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On standard error, where the exit status alone tells people's and programs' from each other."""
    monkeypatch.setattr(sys, "argv", ["firstvalue", *words, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (status, "")
    failure = json.loads(printed.err)
    assert failure["message"]
    assert told.items() <= failure.items()


def test_json_before_the_verb_is_told_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no option of the command as a whole."""
    monkeypatch.setattr(sys, "argv", ["firstvalue", "--json", "account", "list"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "firstvalue account list --json" in json.loads(capsys.readouterr().err)["message"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["account", "list", "--limit", "0"], "'--limit': must be greater than or equal to 1"),
        (["ops", "resume", "two", "--from", "latest"], "'part': must be a valid integer"),
        (["endpoint", "replay", "ep_1", "--since", "then"], "2026-11-20 or 2026-11-20T10:00:00Z"),
        (["event", "send", "--file", "nosuch.json"], "Cannot read nosuch.json: No such file or directory."),
        (["endpoint", "list", "--notifier-url", "http://127.0.0.1:1", "--key", "k"], "FIRSTVALUE_NOTIFIER_URL right?"),
    ],
)
def test_mistakes_are_told_without_the_words_of_libraries(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a value must be, and what to look at when nothing answers; a file is read before anybody is asked."""
    monkeypatch.setattr(sys, "argv", ["firstvalue", *words, "--json"])
    with pytest.raises(SystemExit):
        main()
    message = json.loads(capsys.readouterr().err)["message"]
    assert message.endswith(told)
    assert "Errno" not in message


@pytest.mark.parametrize(
    ("output", "ended"), [(">&-", (0, "")), (">/dev/full", (1, "No space left on device\n"))], ids=["closed", "full"]
)
def test_an_output_that_takes_nothing_is_no_traceback(output: str, ended: tuple[int, str]) -> None:
    """Closed by the shell, or on a full disk."""
    line = f"exec {shlex.quote(sys.executable)} -m services.cli plan new - {output}"
    done = subprocess.run(("bash", "-c", line), stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == ended


@pytest.mark.parametrize(("ready", "told"), [(False, "starting or stopping"), (None, "firstvalue up")])
def test_a_local_stack_that_is_not_there_yet(
    ready: bool | None, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that starts has to be waited for, not begun."""
    monkeypatch.setenv("FIRSTVALUE_DATA_DIR", str(tmp_path))
    if ready is None:
        with pytest.raises(Unreachable, match=told):
            find("ingest", url=None, key=None)
        return
    data = DataFolder(tmp_path)
    with data.locked():
        data.write_state({"supervisor": 1, "ready": ready})
        with pytest.raises(Unreachable, match=told):
            find("ingest", url=None, key=None)
