"""The built-in plan is published where there is none, by the engine's own API."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.plan import publish_built_in_plan


class _Engine(ThreadingHTTPServer):
    plans: tuple[str, ...] = ()
    put_status = 200
    published: bytes | None = None
    headers: tuple[str | None, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Engine

    def do_GET(self) -> None:
        assert self.path == "/v1/plans"
        self._answer(200, {"data": list(self.server.plans), "next": None})

    def do_PUT(self) -> None:
        assert self.path == "/v1/plans/b2b-saas"
        self.server.published = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers = (self.headers["Authorization"], self.headers["Content-Type"])
        self._answer(self.server.put_status, {"code": "plan_invalid", "message": "Line 3 is wrong."})

    def _answer(self, status: int, content: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A plan file."""
    path = tmp_path / "plan.yaml"
    path.write_text("plan: b2b-saas\n")
    return path


@pytest.fixture
def engine() -> Iterator[_Engine]:
    """Answers the two calls as the engine does."""
    server = _Engine(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_plan_is_published_where_there_is_none(
    engine: _Engine, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The template goes to the engine as YAML under the admin key, past any proxy of the environment."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert publish_built_in_plan(engine.url, admin_key="key", template=template)
    assert engine.published == template.read_bytes()
    assert engine.headers == ("Bearer key", "application/yaml")


def test_plans_of_ones_own_are_left_alone(engine: _Engine) -> None:
    """An engine that has any plan gets none from us."""
    engine.plans = ("mine",)
    assert not publish_built_in_plan(engine.url, admin_key="key")
    assert engine.published is None


def test_a_refusal_is_told_in_the_words_of_the_engine(engine: _Engine, template: Path) -> None:
    """The start fails with the status and the message."""
    engine.put_status = 422
    with pytest.raises(StackError, match=r"answered 422.*Line 3 is wrong"):
        publish_built_in_plan(engine.url, admin_key="key", template=template)


def test_an_engine_that_is_gone_is_told_with_a_way_out() -> None:
    """Nobody answering names `--no-plan`."""
    with pytest.raises(StackError, match="--no-plan"):
        publish_built_in_plan("http://127.0.0.1:1", admin_key="key")
