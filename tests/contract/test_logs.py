"""A line of a log tells listed fields only, in one line, whatever is put into it."""

from __future__ import annotations

import ast
import io
import json
import logging
from pathlib import Path

import pytest
import structlog

from services.runtime.logs import FIELDS, configure_logs

_SERVICES = Path(__file__).parents[2] / "services"


def _fields(source: Path) -> set[str]:
    """The keywords of all calls like `log.info(…)`; `write` is a chosen one of them."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            of_log = isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "log"
            if of_log or (isinstance(function, ast.Name) and function.id == "write"):
                found |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return found - {"exc_info"}


def test_every_field_that_is_logged_is_listed() -> None:
    """Whoever logs something new decides on purpose, in `FIELDS` of services/runtime/logs.py."""
    sources = list(_SERVICES.rglob("*.py"))
    logged = {field for source in sources for field in _fields(source)}
    assert len(logged) > 20
    assert logged - FIELDS == set()


def test_what_is_not_listed_is_left_out_and_no_line_is_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters are escaped; a field that nobody listed is named, and its value is not told."""
    root, output = logging.getLogger(), io.StringIO()
    handlers, level, configuration = root.handlers, root.level, structlog.get_config()
    try:
        monkeypatch.setattr("sys.stderr", output)
        configure_logs(service="test", level="info")
        structlog.get_logger().info("seen", reason="a\r\nb\x1b[2J", account="acme", body="secret")
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.configure(**configuration)
    (line,) = output.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["reason"] == "a\r\nb\x1b[2J"
    assert entry["unlisted"] == ["account", "body"]
    assert "\x1b" not in line
    assert "secret" not in line
