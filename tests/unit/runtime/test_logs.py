"""Log lines: known fields alone, no forged lines, no messages of errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SERVICES = Path(__file__).parents[3] / "services"

PROGRAM = r"""
import logging
import structlog
from services.runtime.logs import configure_logs
configure_logs(service="test", level="debug")
log = structlog.get_logger("a")
log.info("one", part=3, body="planted", reason="line\r\nbreak \x1b[31mred", parts=[1, 2])
try:
    try:
        raise ConnectionRefusedError(111, "planted")
    except OSError as error:
        raise ValueError("planted in a message") from error
except ValueError:
    log.exception("three")
    logging.getLogger("library").exception("four")
logging.getLogger("aiokafka.producer").info("planted")
"""


def lines() -> list[dict[str, object]]:
    """What the program logged."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, cwd=SERVICES.parent)
    assert b"planted" not in done.stderr
    assert b"\r" not in done.stderr
    assert b"\x1b" not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_only_known_fields_leave_the_process() -> None:
    """An unknown field is named and not shown; control characters are escaped, messages left out."""
    one, three, four = lines()
    assert (one["part"], one["parts"], one["unlisted"], one["service"]) == (3, [1, 2], ["body"], "test")
    assert one["reason"] == "line\r\nbreak \x1b[31mred"
    for told in (three, four):
        assert str(told["exception"]).startswith("builtins.ValueError at ")
        assert " because of builtins.ConnectionRefusedError 111 at " in str(told["exception"])
