"""Kafka's jars are the locked ones, whatever the network delivers."""

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event

import pytest

from deploy.local.errors import StackError, StopRequested
from deploy.local.kafka import jars
from tests.certificates import certificate

_GENUINE = b"a jar, more or less"
_LOCK = f"""
[metadata]
generated = "2026-01-01T00:00:00+00:00"
jgo_version = "2.0.0"

[[dependencies]]
groupId = "org.example"
artifactId = "thing"
version = "1.0"
packaging = "jar"
sha256 = "{hashlib.sha256(_GENUINE).hexdigest()}"
"""


class _Repository(ThreadingHTTPServer):
    content = _GENUINE
    status = 200
    downloads = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Repository

    def do_GET(self) -> None:
        body = self.server.content
        if self.path.endswith(".sha1"):
            body = hashlib.sha1(body).hexdigest().encode()
        else:
            self.server.downloads += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Repository]:
    """A repository on loopback, named in the user's jgo settings, and a lock of one jar."""
    server = _Repository(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings, lock = tmp_path / "jgo.conf", tmp_path / "jgo.lock.toml"
    settings.write_text(f"[repositories]\nmirror = http://127.0.0.1:{server.server_port}\n")
    lock.write_text(_LOCK)
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    monkeypatch.setattr(jars, "_LOCK", lock)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _fetch(folder: Path) -> list[str]:
    said: list[str] = []
    jars.fetch_jars(folder, stopping=Event(), progress=said.append)
    return said


def test_jars_are_downloaded_once(repository: _Repository, tmp_path: Path) -> None:
    """The first call downloads with progress; the second one finds everything and says nothing."""
    assert _fetch(tmp_path / "jars")[-1].endswith("1 of 1 files")
    assert [jar.read_bytes() for jar in jars.jar_folder(tmp_path / "jars").iterdir()] == [_GENUINE]
    assert _fetch(tmp_path / "jars") == []
    assert repository.downloads == 1


def test_a_jar_other_than_the_locked_one_is_refused(repository: _Repository, tmp_path: Path) -> None:
    """A changed file is an error and is not kept, so that the next try can succeed."""
    repository.content = b"something else"
    with pytest.raises(StackError, match=r"thing-1\.0\.jar is not the file that was locked"):
        _fetch(tmp_path / "jars")
    assert not jars.jar_folder(tmp_path / "jars").exists()
    repository.content = _GENUINE
    _fetch(tmp_path / "jars")
    assert jars.jar_folder(tmp_path / "jars").exists()


def test_a_network_failure_says_what_to_do(repository: _Repository, tmp_path: Path) -> None:
    """A repository that does not have the file is told with advice."""
    repository.status = 404
    with pytest.raises(StackError, match=r"cannot download thing-1\.0\.jar.*Check the network"):
        _fetch(tmp_path / "jars")


def test_a_network_with_certificates_of_its_own_is_told_where_to_name_them(
    repository: _Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy is trusted by its machines, but not by Python."""
    context, trusted = certificate(tmp_path, "localhost")
    repository.socket = context.wrap_socket(repository.socket, server_side=True)
    settings = Path(os.environ["JGO_CONFIG_FILE"])
    settings.write_text(settings.read_text().replace("http://127.0.0.1", "https://localhost"))
    with pytest.raises(StackError, match=r"own certificates in REQUESTS_CA_BUNDLE"):
        _fetch(tmp_path / "jars")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted)
    assert _fetch(tmp_path / "jars")[-1].endswith("1 of 1 files")


def test_downloading_stops_when_the_stack_does(repository: _Repository, tmp_path: Path) -> None:
    """Ctrl-C during the download ends it."""
    stopping = Event()
    stopping.set()
    with pytest.raises(StopRequested):
        jars.fetch_jars(tmp_path / "jars", stopping=stopping, progress=lambda _: None)


def test_the_lock_names_every_file_by_hash_and_no_address() -> None:
    """46 files of Kafka and its log, each with a SHA-256; where they come from is the user's affair."""
    text = Path(jars.__file__).with_name("jgo.lock.toml").read_text()
    assert text.count("[[dependencies]]") == text.count("sha256 = ") == 46
    assert "://" not in text
    assert '"kafka-server"' in text
    assert "://" not in Path(jars.__file__).with_name("jgo.toml").read_text()
