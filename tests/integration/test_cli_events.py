"""`firstvalue event send` and `tail` against a real ingest: what is taken, what is not and why, line by line."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.cli.__main__ import main
from services.cli.sending import BATCH_ITEMS_MAX
from tests.integration.ingest_process import ADMIN_KEY, IngestProcess
from tests.integration.topic_reader import message_ids_of

REFUSED, USAGE, UNREACHABLE = 1, 2, 3


class Done(NamedTuple):
    """How the command ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def firstvalue(service: IngestProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command with these words and this standard input."""
    monkeypatch.setenv("FIRSTVALUE_INGEST_URL", service.url)
    monkeypatch.setenv("FIRSTVALUE_API_KEY", ADMIN_KEY)

    def run(*words: str, given: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["firstvalue", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def shown(firstvalue: Run, *words: str) -> list[dict[str, Any]]:
    """What `tail` shows that is there, as JSON."""
    done = firstvalue("event", "tail", "--no-follow", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_event(firstvalue: Run) -> None:
    """With its account, person, properties, time and id; a line says what became of it."""
    words = ["Report Generated", "--account", "acme", "--user", "kim", "--property", "rows=120", "--id", "one-1"]
    sent = firstvalue("event", "send", *words, "--role", "champion", "--at", "2026-11-20T10:00:00Z")
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, "accepted 1, rejected 0\n", "")
    (row,) = shown(firstvalue, "--account", "acme", "--event", "Report Generated")
    assert (row["message_id"], row["user_id"], row["resolved_by"]) == ("one-1", "kim", "context.groupId")
    assert (row["occurred_at"], row["body"]["properties"]) == ("2026-11-20T10:00:00Z", {"rows": 120})
    assert row["role"] == "champion"
    line = firstvalue("event", "tail", "--no-follow", "--account", "acme").stdout
    assert line.startswith("accepted    2")
    assert line.endswith("  acme  Report Generated  by kim  [historical]  account from context.groupId  id one-1\n")


def test_one_event_that_is_refused(firstvalue: Run) -> None:
    """Exit 1, the reason on standard error, and a dead letter that says the same."""
    sent = firstvalue("event", "send", "Report Generated", "--account", "undefined", "--id", "bad-1")
    assert (sent.returncode, sent.stdout) == (REFUSED, "accepted 0, rejected 1\n")
    assert sent.stderr.startswith("event: Send the account's real id")
    dead = firstvalue("event", "tail", "--no-follow", "--status", "dead", "--lines", "1").stdout
    assert "undefined  Report Generated" in dead
    assert "account_invalid: Send the account's real id" in dead


def test_a_file_of_lines(firstvalue: Run, tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> None:
    """In batches, in order; each that is not taken is named by its line."""
    events: list[dict[str, Any]] = [
        {"event": "Imported", "userId": "u", "messageId": f"line-{number}", "context": {"groupId": "lines"}}
        for number in range(BATCH_ITEMS_MAX + 20)
    ]
    events[4]["context"] = {"groupId": "undefined"}
    events[BATCH_ITEMS_MAX + 3]["context"] = {"groupId": "null"}
    file = tmp_path / "events.ndjson"
    file.write_text("\n\n" + "\n".join(map(json.dumps, events)), encoding="utf-8-sig")
    sent = firstvalue("event", "send", "--file", str(file), "--json")
    assert sent.returncode == REFUSED
    told = json.loads(sent.stdout)
    assert told["accepted"] == BATCH_ITEMS_MAX + 18
    assert [error["place"] for error in told["errors"]] == ["line 7", f"line {BATCH_ITEMS_MAX + 6}"]
    stored = message_ids_of(kafka_bootstrap, f"{topic_prefix}product.events.v1")
    assert len([one for one in stored if one.startswith("line-")]) == BATCH_ITEMS_MAX + 18


@pytest.mark.parametrize("wrapped", ["object", "array", "batch"])
def test_other_shapes_of_files(firstvalue: Run, wrapped: str) -> None:
    """As SDKs send them, from standard input too."""
    event = {"type": "track", "event": "E", "userId": "u", "context": {"groupId": "shapes"}}
    value = {"object": event, "array": [event, event], "batch": {"batch": [event]}}[wrapped]
    sent = firstvalue("event", "send", "--file", "-", given=json.dumps(value, indent=1).encode())
    assert (sent.returncode, sent.stderr) == (0, "")
    assert sent.stdout == f"accepted {2 if wrapped == 'array' else 1}, rejected 0\n"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b'{"event": "E"}\n{"event": \n', "line 2: not JSON"),
        (b'{"event": "E\xff"}', "line 1: not UTF-8"),
        (b'{"event": "E"}\n[1]', "line 2: an event is a JSON object"),
        (b"", "is empty"),
        (b"[]", "standard input: write events as JSON objects"),
    ],
)
def test_a_file_that_is_none_sends_nothing(firstvalue: Run, given: bytes, told: str) -> None:
    """Exit 2 and the line to look at."""
    sent = firstvalue("event", "send", "--file", "-", given=given)
    assert (sent.returncode, sent.stdout) == (USAGE, "")
    assert told in sent.stderr


def test_wrong_use(firstvalue: Run) -> None:
    """Neither event nor file, both, a file that is not there, a key that is unknown."""
    assert firstvalue("event", "send").returncode == USAGE
    both = firstvalue("event", "send", "E", "--file", "-")
    assert (both.returncode, "not both" in both.stderr) == (USAGE, True)
    unnamed = firstvalue("event", "send", "E", "--account", "a", "--property", "rows").stderr
    assert unnamed == "rows is no property: write name=value.\n"
    assert "--account describes one event" in firstvalue("event", "send", "--file", "-", "--account", "a").stderr
    assert "No such file" in firstvalue("event", "send", "--file", "/nowhere.json").stderr
    assert firstvalue("event", "send", "E", "--account", "a", "--key", "fv_x").returncode == REFUSED
    away = firstvalue("event", "tail", "--ingest-url", "http://127.0.0.1:9")
    assert (away.returncode, away.stdout) == (UNREACHABLE, "")


def heed_interrupts() -> None:
    """As at a terminal; programs that a shell started in the background ignore them, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_following(firstvalue: Run, service: IngestProcess) -> None:
    """What comes after the start, once each, until interrupted; no colour in a pipe."""
    words = (sys.executable, "-m", "services.cli", "event", "tail", "--account", "follow", "--lines", "1")
    environment = os.environ | {"FIRSTVALUE_INGEST_URL": service.url, "FIRSTVALUE_API_KEY": ADMIN_KEY}
    firstvalue("event", "send", "Before", "--account", "follow", "--id", "f-0")
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    ) as following:
        killer = threading.Timer(240, following.kill)
        killer.start()
        assert following.stdout is not None
        lines = [following.stdout.readline()]
        firstvalue("event", "send", "After", "--account", "follow", "--id", "f-1")
        firstvalue("event", "send", "After", "--account", "follow", "--id", "f-2")
        lines += [following.stdout.readline() for _ in range(2)]
        following.send_signal(signal.SIGINT)
        assert following.wait() == 0
        killer.cancel()
    assert [line.split()[-1] for line in lines] == ["f-0", "f-1", "f-2"]
    assert "\x1b" not in "".join(lines)
