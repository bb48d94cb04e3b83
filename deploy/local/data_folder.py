"""The folder a local stack lives in: its ports, secrets, logs, recorded state and the lock that makes it one."""

import base64
import fcntl
import json
import os
import random
import secrets
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.errors import AlreadyRunning, StackError

_FOLDERS = ("postgres", "postgres.partial", "kafka", "prometheus", "logs")
_OWNED = (*_FOLDERS, "lock", "ports.json", "secrets.json", "state.json")
# Below every system's range for outgoing connections, so that a port kept for the next start stays free.
_PORT_MIN, _PORT_MAX = 20_000, 32_000
_LOG_BYTES_MAX = 50 * 1024 * 1024


class DataFolder:
    """Names every file of one local stack below `path`; `create()` makes the folder itself."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.postgres = self.path / "postgres"
        self.kafka = self.path / "kafka"
        self.prometheus = self.path / "prometheus"

    def create(self) -> None:
        """Creates the folder; as root others may pass through it (not list it), as PostgreSQL runs as another user."""
        mode = 0o711 if os.geteuid() == 0 else 0o700
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(mode)
        self.logs.mkdir(exist_ok=True)

    def log(self, name: str) -> Path:
        """The log file of the process `name`; what grew beyond 50 MB is moved to NAME.log.1 when this is called."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        return path

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Creates the folder and holds its lock, giving the file descriptor; AlreadyRunning when another stack does.

        Whoever inherits the descriptor keeps the lock held. Ports and secrets are chosen under it.
        """
        self.create()
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(f"a stack runs already in {self.path}") from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            yield descriptor
        finally:
            os.close(descriptor)

    def lock_holder(self) -> int | None:
        """The process id of the supervisor that holds the lock; None when the folder is not in use.

        0 when the supervisor is gone, or about to be, and its processes are still being ended.
        """
        path = self.path / "lock"
        if not path.exists():
            return None
        with path.open("rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
        return None

    def ports(self, names: Iterable[str], *, wanted: dict[str, int]) -> dict[str, int]:
        """A TCP port for each name: the wanted one, else the last one while it is free, else one that no name has."""
        kept = self._read("ports.json")
        chosen: dict[str, int] = {}
        for name in names:
            port = wanted.get(name) or kept.get(name, 0)
            # Nothing listens yet on what was chosen for the others, here or by an earlier call.
            others = {kept_port for other, kept_port in (kept | chosen).items() if other != name} | {*wanted.values()}
            if name not in wanted and (port in others or not _is_free(port)):
                port = _free_port(taken=others)
            chosen[name] = port
        self._write("ports.json", kept | chosen)
        return chosen

    def secrets(self) -> dict[str, str]:
        """Keys made once per folder: `admin_key`, `notifier_secret_key` (32 bytes, base64), `database_password`."""
        kept = self._read("secrets.json")
        if not kept:
            kept = {
                "admin_key": f"fvk_local_{secrets.token_hex(20)}",
                "notifier_secret_key": base64.b64encode(secrets.token_bytes(32)).decode(),
                "database_password": secrets.token_hex(16),
            }
            self._write("secrets.json", kept)
        return kept

    def read_state(self) -> dict[str, Any]:
        """What the supervisor recorded last; empty when it recorded nothing, or the record is damaged."""
        try:
            return self._read("state.json")
        except StackError:
            return {}

    def write_state(self, state: dict[str, Any]) -> None:
        """Records what runs, for `status`, `down` and a second `up`."""
        self._write("state.json", state)

    def wipe(self) -> None:
        """Deletes what the stack made, and the folder itself when nothing else is in it."""
        for name in _OWNED:
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        if self.path.exists() and not any(self.path.iterdir()):
            self.path.rmdir()

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.path / name).read_text())
            if not isinstance(content, dict):
                raise ValueError(f"{name} holds no object")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError as error:
            afresh = "begin afresh after `firstvalue down --wipe`"
            raise StackError(f"{self.path / name} is damaged: restore it, or {afresh}") from error
        return content

    def _write(self, name: str, content: dict[str, Any]) -> None:
        partial = self.path / f".{name}.partial"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file, indent=1)
        partial.replace(self.path / name)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file `path` (made if missing); waits for whoever holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_free(port: int) -> bool:
    if not port:
        return False
    with socket.socket() as probe:
        # As the servers do it: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port(*, taken: set[int]) -> int:
    for _ in range(1000):
        port = random.randint(_PORT_MIN, _PORT_MAX)
        if port not in taken and _is_free(port):
            return port
    raise OSError(f"no free TCP port between {_PORT_MIN} and {_PORT_MAX} on 127.0.0.1")
