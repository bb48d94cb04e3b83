"""The local stack on this machine: does it run, does it keep running, has it room and its ports?"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from services.cli.doctor.findings import Finding, fine, problem
from services.cli.doctor.look import Look

FREE_BYTES_MIN = 1_073_741_824
_RESTARTS_MAX = 3


def stack_runs(look: Look) -> Iterator[Finding]:
    """Each of its processes."""
    if look.local is None or not look.local.state:
        return
    if not look.local.ready:
        yield problem("stack", "the local stack is still starting", "wait for it: `firstvalue status`")
    for process in look.local.state.get("processes", ()):
        if process["waiting"] or process["restarts"] > _RESTARTS_MAX:
            how = "does not run" if process["waiting"] else f"was started again {process['restarts']} times"
            last = _last_words(Path(process["log"]))
            yield problem("stack", f"{process['name']} {how}{last}", f"its log is {process['log']}")


def disk_has_room(look: Look) -> Iterator[Finding]:
    """For what Kafka and PostgreSQL of the local stack write."""
    if look.local is None:
        return
    folder = look.local.folder
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < FREE_BYTES_MIN:
        yield problem(
            "disk",
            f"{free_bytes / 1_048_576:.0f} MiB are free for {folder}",
            "make room: PostgreSQL and Kafka stop when there is none; FIRSTVALUE_DATA_DIR names another folder",
        )
    else:
        yield fine("disk", f"{free_bytes / 1_073_741_824:.0f} GiB are free for {folder}")


def ports_are_free(look: Look) -> Iterator[Finding]:
    """Those that the environment asks for, while the stack does not run."""
    if look.local is None or look.local.state:
        return
    for variable, port in look.local.wanted_ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                do = f"end what listens there, or set {variable} to another port, or to none for a free one"
                yield problem("ports", f"{variable}={port}: the port cannot be used ({error.strerror})", do)


def _last_words(log: Path) -> str:
    """The last line of a log, if there is one."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4_096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f"; it said last: {said[-1][:300]}" if said else ""
