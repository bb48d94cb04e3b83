"""`firstvalue doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from services.cli.addresses import EngineUrl, IngestUrl, Key, NotifierUrl, ServiceName
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
    """Look for what is usually wrong on the first days, and say what to do.

    Exits 0 when all is well, 1 when not.
    """
    # What the checks need takes longer to import than every other verb to run.
    from services.cli.doctor.examination import examine
    from services.cli.doctor.look import local_stack, look_around

    urls: dict[ServiceName, str | None] = {"ingest": ingest_url, "engine": engine_url, "notifier": notifier_url}
    look = look_around(urls, key=key, write_key=write_key, local=local_stack(urls))
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
