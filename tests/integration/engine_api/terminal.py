"""The `firstvalue` command in a process of its own, against a served engine."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from tests.integration.engine_api.partition_rows import PartitionRows
from tests.waiting import TIMEOUT_SECONDS

REFUSED, USAGE, UNREACHABLE = 1, 2, 3


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    status: int
    output: str
    complaint: str


@dataclass(frozen=True)
class Terminal:
    """Runs commands in an environment that names the engine."""

    rows: PartitionRows
    environment: dict[str, str]

    async def run(self, *words: str, **environment: str) -> Ended:
        """`firstvalue` with these arguments."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.cli", *words),
            env=self.environment | environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(TIMEOUT_SECONDS):
            output, complaint = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, output.decode(), complaint.decode())
