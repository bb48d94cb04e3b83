"""docs/webhooks.md is true: its examples verify real requests, and refuse altered ones."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from standardwebhooks.webhooks import WebhookVerificationError

from tests.fakes.receiver import Received, Receiver
from tests.programs import path_of, run_module
from tests.running_notifier import Servers, running

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")

_NODE = """
import { readFileSync } from "node:fs";
const { headers, body, key } = JSON.parse(readFileSync(0, "utf8"));
let verdict;
try { verdict = CALL(headers, body, key) === false ? "refused" : "verified"; } catch { verdict = "refused"; }
console.log(verdict);
"""
_GO = """package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	var given struct {
		Headers map[string]string
		Body    string
		Key     string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	header := http.Header{}
	for name, value := range given.Headers {
		header.Set(name, value)
	}
	if Verify(header, []byte(given.Body), given.Key) == nil {
		fmt.Println("verified")
	} else {
		fmt.Println("refused")
	}
}
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request, and what its receiver knows."""

    request: Received
    key: str

    def told(self, *, altered: bool) -> str:
        """As JSON for a program; `altered` on the way by one sign."""
        body = self.request.body.decode() + (" " if altered else "")
        return json.dumps({"headers": self.request.headers, "body": body, "key": self.key})


def example(language: str, name: str) -> str:
    """The page's example in a language that defines `name`."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if name in text]
    return str(found)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def requests(surroundings: Servers) -> AsyncIterator[dict[str, Sent]]:
    """A request signed by each scheme, and by an old key beside the new one."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        sent = {}
        for number, signature in enumerate(("v1", "v1a"), start=1):
            endpoint = await notifier.add_endpoint(receiver.url(), signature=signature)
            await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/rotate")
            await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/ping", status=202)
            request = (await receiver.wait_for(number))[-1]
            # The receiver still has the key from before the rotation.
            sent[signature] = Sent(request, endpoint["public_key"] or endpoint["secret"])
        yield sent


def python_example(name: str) -> Any:
    """The function that the page's Python example defines."""
    defined: dict[str, Any] = {}
    exec(compile(example("python", f"def {name}("), "webhooks.md", "exec"), defined)
    return defined[name]


async def test_python_example(requests: dict[str, Sent]) -> None:
    """HMAC by the published package."""
    sent, verify = requests["v1"], python_example("verify")
    assert verify(sent.request.headers, sent.request.body, sent.key)["type"] == "endpoint.ping"
    with pytest.raises(WebhookVerificationError):
        verify(sent.request.headers, sent.request.body + b" ", sent.key)


async def test_python_example_for_public_keys(requests: dict[str, Sent]) -> None:
    """ed25519 by `cryptography`, with a newer key's signature in front."""
    sent, verify = requests["v1a"], python_example("verify_v1a")
    verify(sent.request.headers, sent.request.body, sent.key)
    with pytest.raises(ValueError, match="no signature matches"):
        verify(sent.request.headers, sent.request.body + b" ", sent.key)
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        others = {each: value for each, value in sent.request.headers.items() if each != name}
        with pytest.raises(ValueError):
            verify(others, sent.request.body, sent.key)


@pytest.mark.parametrize(("scheme", "function"), [("v1", "verify"), ("v1a", "verifyV1a")])
async def test_node_examples(requests: dict[str, Sent], scheme: str, function: str, tmp_path: Path) -> None:
    """HMAC by the package on the npm index, ed25519 by Node's own crypto."""
    source = example("javascript", f"export function {function}(") + _NODE.replace("CALL", function)
    for altered, verdict in ((False, "verified"), (True, "refused")):
        told = requests[scheme].told(altered=altered)
        assert (await asyncio.to_thread(run_module, tmp_path, source, told)).strip() == verdict


async def test_go_example(requests: dict[str, Sent], tmp_path: Path) -> None:
    """HMAC by Go's standard library."""
    go = path_of("go")
    (tmp_path / "verify.go").write_text(example("go", "func Verify("), encoding="utf-8")
    (tmp_path / "main.go").write_text(_GO, encoding="utf-8")
    (tmp_path / "go.mod").write_text("module example\n\ngo 1.21\n", encoding="utf-8")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    build = [go, "build", "-o", "verify", "."]
    await asyncio.to_thread(subprocess.run, build, cwd=tmp_path, env=environment, check=True, timeout=240)
    for altered, verdict in ((False, "verified"), (True, "refused")):
        done = await asyncio.to_thread(
            subprocess.run,
            [tmp_path / "verify"],
            input=requests["v1"].told(altered=altered),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.strip() == verdict
