"""`firstvalue doctor` where something hangs: it says what, in the time that is written down."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from services.cli.__main__ import main
from services.cli.doctor import examination
from services.cli.doctor.look import LOOK_SECONDS_MAX

_SECONDS_MAX = 10.0
Listen = Callable[..., int]


@pytest.fixture
def silent() -> Iterator[Listen]:
    """Makes ports that take connections and answer nothing, or with `endlessly` a part of an answer again and again,
    to all but who asks for events."""
    ended, sockets = threading.Event(), []

    def drip(listener: socket.socket) -> None:
        with suppress(OSError):
            while not ended.is_set():
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if connection.recv(65_536).startswith(b"GET /v1/events"):
                connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{"data": []}')
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not ended.wait(0.5):
                connection.sendall(b"x-more: 1\r\n")

    def listen(*, endlessly: bool = False) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)
        if endlessly:
            threading.Thread(target=drip, args=(listener,), daemon=True).start()
        return int(listener.getsockname()[1])

    yield listen
    ended.set()
    for one in sockets:
        one.close()


def examined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **environment: str
) -> tuple[str, float]:
    """(what is wrong, seconds) of a doctor with these settings."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # What it imports is no part of what is measured.
    assert examination.CHECKS
    monkeypatch.setattr(sys, "argv", ["firstvalue", "doctor", "--json", "--write-key", "fv_PRODUCT"])
    began = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main()
    seconds = time.monotonic() - began
    assert ended.value.code == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    return "\n".join(f"{one['message']}: {one['do']}" for one in findings if one["level"] == "problem"), seconds


def test_everything_hangs(
    silent: Listen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each is told by its name, and one is not waited for after the other."""
    services = {f"FIRSTVALUE_{name}_URL": f"http://127.0.0.1:{silent()}" for name in ("INGEST", "ENGINE", "NOTIFIER")}
    told, seconds = examined(
        monkeypatch,
        capsys,
        **services,
        DATABASE_URL=f"postgresql://kim:word@127.0.0.1:{silent()}/x",
        KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{silent()}",
        FIRSTVALUE_API_KEY="fv_KEY",
        FIRSTVALUE_DATA_DIR=str(tmp_path),
    )
    assert seconds < _SECONDS_MAX
    for name in ("Ingest", "Engine", "Notifier"):
        assert f"{name} hangs: it takes connections at http://127.0.0.1:" in told
    assert "PostgreSQL does not answer at 127.0.0.1:" in told
    assert "it said nothing for 5 s" in told
    assert "Kafka does not answer at 127.0.0.1:" in told


def test_an_answer_that_never_ends(
    silent: Listen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The whole has its limit too, and who is away is told beside it."""
    told, seconds = examined(
        monkeypatch,
        capsys,
        FIRSTVALUE_INGEST_URL="http://127.0.0.1:1",
        FIRSTVALUE_ENGINE_URL=f"http://127.0.0.1:{silent(endlessly=True)}",
        FIRSTVALUE_NOTIFIER_URL="http://127.0.0.1:1",
        FIRSTVALUE_API_KEY="fv_KEY",
        FIRSTVALUE_DATA_DIR=str(tmp_path),
    )
    assert LOOK_SECONDS_MAX <= seconds < _SECONDS_MAX
    assert "Engine had not answered after 6 s." in told
    assert "Ingest does not answer at http://127.0.0.1:1" in told


def test_a_key_that_is_not_judged_in_time(
    silent: Listen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is not told as one that may send; what ingest answered beside it counts."""
    told, _ = examined(
        monkeypatch,
        capsys,
        FIRSTVALUE_INGEST_URL=f"http://127.0.0.1:{silent(endlessly=True)}",
        FIRSTVALUE_ENGINE_URL="http://127.0.0.1:1",
        FIRSTVALUE_NOTIFIER_URL="http://127.0.0.1:1",
        FIRSTVALUE_API_KEY="fv_KEY",
        FIRSTVALUE_DATA_DIR=str(tmp_path),
    )
    assert "no event was ever accepted" in told
    assert "the product's key was not judged: no answer within 6 s" in told
