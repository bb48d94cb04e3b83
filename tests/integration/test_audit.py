"""The gate of `make audit`: shut by a vulnerability and by a service that does not answer, open otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deploy.audit import audit

PINS = "".join(f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in ("planted-good", "planted_bad"))


class _Osv(BaseHTTPRequestHandler):
    """Knows one vulnerability of planted-bad, if its server says so."""

    def do_POST(self) -> None:
        """A query of one package."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        bad = asked["package"]["name"].replace("_", "-") == "planted-bad"
        known = {"id": "PLANTED-1", "modified": "2026-01-01T00:00:00Z", "affected": [], "summary": "planted"}
        body = json.dumps({"vulns": [known]} if bad and self.server.planted else {}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def osv() -> Iterator[ThreadingHTTPServer]:
    """A service of the OSV protocol, with the vulnerability planted."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Osv)
    server.planted = True  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_gate(osv: ThreadingHTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shut by the planted vulnerability, which is named; open without it; shut when nobody could be asked, and by one
    package that was not looked at. A bill is left each time."""
    pins, bill = tmp_path / "pins.txt", tmp_path / "build" / "bill.json"
    pins.write_text(PINS)
    url = f"http://127.0.0.1:{osv.server_port}/v1/query"
    assert audit([pins], bill=bill, osv_url=url) == 1
    assert "vulnerable: planted_bad 1.0: PLANTED-1" in capsys.readouterr().err
    osv.planted = False  # type: ignore[attr-defined]
    assert audit([pins], bill=bill, osv_url=url) == 0
    document = json.loads(bill.read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert {one["name"] for one in document["components"]} == {"planted-good", "planted_bad"}
    assert audit([pins], bill=bill, osv_url="http://127.0.0.1:9/") == 2
    assert "2 of 2 packages were not looked at" in capsys.readouterr().err
    assert {one["purl"] for one in json.loads(bill.read_text())["components"]} == {
        "pkg:pypi/planted-good@1.0",
        "pkg:pypi/planted-bad@1.0",
    }
    # One that is for another system: pinned, and not looked at here.
    pins.write_text(f"{PINS}elsewhere==1.0 ; sys_platform == 'none' --hash=sha256:{'0' * 64}\n")
    assert audit([pins], bill=bill, osv_url=url) == 2
    assert "1 of 3 packages were not looked at: elsewhere." in capsys.readouterr().err
