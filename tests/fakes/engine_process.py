"""One engine as a process of its own, and how tests wait for what it does."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.waiting import TIMEOUT_SECONDS, wait_until

ROOT = Path(__file__).parent.parent.parent

# Importing takes the longest of a start, and can be done before it is known as what to run.
_PROGRAM = """
import json, os, sys
from services.activation_engine.__main__ import main
os.environ.update(json.loads(sys.stdin.readline()))
sys.exit(main(["serve"]))
"""


class EngineProcess:
    """One engine; killed at the end of the test, whatever happens. It waits until it is told to `begin`."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stderr=output, stdout=output
            )

    def begin(self, environment: dict[str, str]) -> None:
        """Run with these variables beside those of the test."""
        assert self.process.stdin is not None
        with self.process.stdin as given:
            given.write(msgspec.json.encode(environment) + b"\n")

    def metrics_url(self) -> str:
        """Where its metrics are, once it listens."""
        return f"http://127.0.0.1:{self._listening()['metrics_port']}/metrics"

    def url(self) -> str:
        """Where its API is, once it listens."""
        return f"http://127.0.0.1:{self._listening()['port']}"

    def _listening(self) -> dict[str, Any]:
        return wait_until(self._listens, what=f"what it listens on, in {self.log}")

    def _listens(self) -> dict[str, Any]:
        """What it logged of that; nothing before it did."""
        assert self.process.poll() is None, f"the engine has ended: {self.log.read_text()[-3000:]}"
        lines = (line for line in self.log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n"))
        return next((msgspec.json.decode(line) for line in lines if b'"listening"' in line), {})

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def end(self) -> int:
        """Wait for the process to end by itself; its exit status, negative for a signal."""
        await asyncio.to_thread(self.process.wait, TIMEOUT_SECONDS)
        return self.process.returncode
