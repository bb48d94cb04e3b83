"""`firstvalue doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import os
from collections import Counter
from typing import Annotated, Any

import typer

from services.cli.addresses import EngineUrl, IngestUrl, Key, NotifierUrl, ServiceName
from services.cli.doctor.examination import examine
from services.cli.doctor.look import SERVICES, Local, look_around
from services.cli.output import REFUSED, AsJson, counted, print_json, say, say_marked

_MARKS = {"ok": ("ok       ", "green"), "note": ("note     ", "yellow"), "problem": ("problem  ", "red")}


def doctor(
    *,
    write_key: Annotated[
        str | None, typer.Option("--write-key", help="The key that your product sends with, to check it too.")
    ] = None,
    ingest_url: IngestUrl = None,
    engine_url: EngineUrl = None,
    notifier_url: NotifierUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is usually wrong on the first days, and say what to do; exits 0 when all is well, 1 when not."""
    urls: dict[ServiceName, str | None] = {"ingest": ingest_url, "engine": engine_url, "notifier": notifier_url}
    look = look_around(urls, key=key, write_key=write_key, local=_local(urls))
    findings = examine(look)
    counts = Counter(finding.level for finding in findings)
    if as_json:
        print_json({"healthy": not counts["problem"], "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.level]
            say_marked(mark, finding.message, colour=colour)
            if finding.do:
                say(f"{' ' * len(mark)}{finding.do}")
        say(counted(counts["problem"], "problem") if counts["problem"] else "no problems")
    if counts["problem"]:
        raise typer.Exit(REFUSED)


def _local(urls: dict[ServiceName, str | None]) -> Local | None:
    """The local stack, unless the services asked for are others."""
    from deploy.local.data_folder import DataFolder
    from deploy.local.places import data_path

    data = DataFolder(data_path(os.environ))
    state: dict[str, Any] = data.read_state()
    if data.lock_holder() is None or state.get("supervisor") != data.lock_holder():
        state = {}
    connection = state.get("connection") or {}
    if any(url and url.rstrip("/") != (connection.get(name) or {}).get("url") for name, url in urls.items()):
        return None
    variables = [f"FIRSTVALUE_{name.upper()}_{kind}" for name in SERVICES for kind in ("PORT", "METRICS_PORT")]
    wanted = {name: int(os.environ[name]) for name in variables if os.environ.get(name, "").isdecimal()}
    return Local(data.path, data.logs, state, {name: port for name, port in wanted.items() if port})
