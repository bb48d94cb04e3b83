"""docs/webhooks.md: the body that it shows is that of the schema's example, and its receiver receives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from schemas.signals import Signal

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
EXAMPLE = json.loads((ROOT / "schemas" / "examples" / "account.stalled" / "example.json").read_text(encoding="utf-8"))
SECRET = "whsec_" + "c2VjcmV0" * 4


def test_the_body_is_one_that_is_sent() -> None:
    """Each field that it shows has that value in the example."""
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    shown: dict[str, Any] = json.loads(block)
    assert shown == {name: EXAMPLE[name] for name in shown}


def test_the_fields_are_there() -> None:
    """Those of the table, by the names that signals give them."""
    (table,) = re.findall(r"\| Field \| .*?\n\n", PAGE, re.DOTALL)
    named = {name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)", cell)}
    assert named
    assert named <= set(Signal.__struct_fields__)


@pytest.fixture
def receiver_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the page's receiver listens, on a free port in place of its own."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    (program,) = re.findall(r"```python\n# receiver.py\n(.*?)\nHTTPServer\(", PAGE, re.DOTALL)
    defined: dict[str, Any] = {}
    exec(compile(program, "receiver.py", "exec"), defined)
    with HTTPServer(("127.0.0.1", 0), defined["Receiver"]) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()
        serving.join()


def test_the_receiver_takes_each_signal_once(receiver_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And none whose signature is of other bytes."""
    body, now = json.dumps(EXAMPLE), datetime.now(UTC)
    headers = {
        "webhook-id": EXAMPLE["id"],
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(EXAMPLE["id"], now, body),
    }
    answers = [httpx.post(receiver_url, content=content, headers=headers) for content in (body, body, body + " ")]
    assert [answer.status_code for answer in answers] == [204, 204, 401]
    assert capsys.readouterr().out == f"account.stalled {EXAMPLE['summary']}\n"
