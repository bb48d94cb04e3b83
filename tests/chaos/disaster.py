"""A database that is lost and restored from a backup, by the commands of docs/operations.md."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from deploy.local.postgres import binaries
from tests.documented import commands
from tests.running_system import RunningSystem

_PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


class Backup:
    """Of a system's database, into its folder."""

    def __init__(self, system: RunningSystem) -> None:
        self._system = system
        self._server_url = urlsplit(system.database_url)._replace(path="/postgres").geturl()

    async def make(self) -> None:
        """While the services go on."""
        await self._type("pg_dump")

    async def restore_after_disaster(self) -> None:
        """Services stop, the database is gone, is made again from the backup, and the services start."""
        services = self._system.services.values()
        await asyncio.gather(*(asyncio.to_thread(service.stop) for service in services))
        connection = await asyncpg.connect(self._server_url)
        await connection.execute(f'DROP DATABASE "{urlsplit(self._system.database_url).path[1:]}" WITH (FORCE)')
        await connection.close()
        await self._type("pg_restore")
        for service in services:
            service.start()

    async def _type(self, verb: str) -> None:
        (command,) = [step.command for step in commands(_PAGE) if step.command.startswith(verb)]
        names = {"DATABASE_URL": self._system.database_url, "SERVER_URL": self._server_url}
        environment = names | {"PATH": f"{binaries()}:/usr/bin:/bin"}
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", command), env=environment, cwd=self._system.folder, stderr=asyncio.subprocess.PIPE
        )
        _, told = await process.communicate()
        assert process.returncode == 0, f"{command}\n{told.decode()}"
