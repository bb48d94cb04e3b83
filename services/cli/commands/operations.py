"""`firstvalue ops`: what an operator does when something is wrong, or to know that nothing is."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from services.cli.client import Client, engine, segment
from services.cli.output import (
    REFUSED,
    ROWS_DEFAULT,
    AsJson,
    Misused,
    Refused,
    Rows,
    Yes,
    complain,
    confirm,
    counted,
    print_answer,
    print_fields,
    print_json,
    say,
)
from services.cli.shared_options import asking

app = typer.Typer()

Part = Annotated[int, typer.Argument(min=0, help="The partition's number.")]
_PARTITION_FIELDS = ("partition", "state", "problem", "owner", "next_offset", "behind_seconds", "unpublished_signals")
_LETTER_FIELDS = ("id", "partition", "offset", "reason", "key", "recorded_at", "requeued_at", "detail")
_DIFFERENCE_FIELDS = ("partition", "account", "kind", "subject", "expected", "found")
_LOOK_SECONDS = 0.5


@app.command()
@asking(engine)
def partitions(*, client: Client, as_json: AsJson = False) -> None:
    """List partitions: who works on each, how far it is, and why when it is stopped."""
    rows = client.ask("GET", "/v1/partitions")["data"]
    print_fields(_PARTITION_FIELDS, rows, empty="no partitions yet: has an engine ever started?", as_json=as_json)


@app.command()
@asking(engine)
def resume(
    part: Part,
    *,
    place: Annotated[str, typer.Option("--from", help="earliest, latest, or an offset.")],
    reason: Annotated[str | None, typer.Option(help="Why it is stopped, as listed. Default: as it is now.")] = None,
    yes: Yes = False,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Let a stopped partition go on from a place that you choose. What lies before it is skipped for good."""
    start = place if place in ("earliest", "latest") else _offset(place)
    row = next((one for one in client.ask("GET", "/v1/partitions")["data"] if one["partition"] == part), None)
    problem = row["problem"] if row else None
    if row and problem:  # Otherwise there is nothing to ask: the engine refuses.
        confirm(f"Partition {part} stopped at offset {row['next_offset']} ({problem}). Go on from {place}?", yes=yes)
    seen = reason or problem or "not stopped"
    answer = client.ask("POST", f"/v1/partitions/{part}/resume", body={"from": start, "reason": seen})
    if as_json:
        print_json(answer)
        return
    skipped = answer["skipped"]
    at_most = "" if skipped["certain"] else "at most "
    say(
        f"partition {part} goes on from offset {answer['next_offset']}, having stopped at {answer['left_offset']};"
        f" the log holds {answer['log_begin']} to {answer['log_end']}; {at_most}{skipped['count']} offsets are skipped"
    )


@app.command()
@asking(engine)
def republish(
    part: Part,
    *,
    from_seq: Annotated[int, typer.Option("--from", min=1, help="Number of the first signal.")],
    to_seq: Annotated[int | None, typer.Option("--to", min=1, help="Number of the last. Default: the newest.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = True,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Send a range of a partition's signals to Kafka again; subscribers recognise repeats."""
    body = {"from_seq": from_seq, "to_seq": to_seq}
    job = client.ask("POST", f"/v1/partitions/{part}/republish", body=body)
    if wait:
        job = _ended(client, job, title="sending again", unit="signals")
    told = f"job {job['id']}: {counted(job['total'], 'signal')} of partition {part} to send again"
    if wait:
        told = f"partition {part}: {counted(job['done'], 'signal')} sent again"
    print_answer(job, told, as_json=as_json)


@app.command("dead-letters")
@asking(engine)
def dead_letters(
    *,
    part: Annotated[int | None, typer.Option(min=0, help="Of this partition only.")] = None,
    reason: Annotated[str | None, typer.Option(help="With this reason only.")] = None,
    limit: Rows = ROWS_DEFAULT,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """List records that the engine could not apply, newest first; --json shows what they say."""
    rows = list(client.rows("/v1/dead-letters", parameters={"part": part, "reason": reason}, limit=limit))
    print_fields(_LETTER_FIELDS, rows, empty="no dead letters", as_json=as_json)


@app.command()
@asking(engine)
def requeue(
    letter_ids: Annotated[list[int], typer.Argument(min=1, help="Ids as listed.")],
    *,
    again: Annotated[bool, typer.Option("--again", help="Also what was requeued before.")] = False,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Send dead letters through the log again, once their cause is removed."""
    parameters = {"again": "true"} if again else {}
    done = []
    for letter_id in letter_ids:
        path = f"/v1/dead-letters/{letter_id}/requeue"
        done.append(client.ask("POST", path, parameters=parameters))
        if not as_json:
            one = done[-1]
            place = f"partition {one['partition']}, offset {one['requeued_offset']}"
            if one["changed"]:
                say(f"{one['id']}: sent to {place} at {one['requeued_at']}")
            else:
                say(f"{one['id']}: was sent before, to {place} at {one['requeued_at']}; --again sends it once more")
    if as_json:
        print_json(done)


@app.command()
@asking(engine)
def audit(*, client: Client, as_json: AsJson = False) -> None:
    """Compare what is stored with the log, computed afresh; exits 1 when anything differs."""
    job = _ended(client, client.ask("POST", "/v1/audits"), title="folding the log", unit="records")
    result = job["result"]
    if as_json:
        print_json(result)
    else:
        _print_audit(result)
    if result["differences"]:
        raise typer.Exit(REFUSED)


def _print_audit(result: dict[str, Any]) -> None:
    for one in result["partitions"]:
        part = f"partition {one['partition']}"
        if one["state"] == "log_incomplete":
            complain(f"{part}: {counted(one['accounts'], 'account')} not compared with the log: {one['why']}")
            continue
        compared = f"{counted(one['audited'], 'account')} and {counted(one['signals'], 'signal')}"
        say(f"{part}: {compared} up to offset {one['next_offset']}, {counted(one['differences'], 'difference')}")
        if one["state"] == "compared_since":
            older = f"{one['not_audited']} accounts enrolled before {one['since']} or were erased once"
            complain(f"{part}: {older}, of which the log does not tell all any more; they are not compared with it")
    if result["differences"]:
        print_fields(_DIFFERENCE_FIELDS, result["listed"], empty="")
        complain(f"{counted(result['differences'], 'difference')}, {len(result['listed'])} of them listed")


def _ended(client: Client, job: dict[str, Any], *, title: str, unit: str) -> dict[str, Any]:
    """The job once it has ended, with a bar on a terminal meanwhile; interrupted, it is cancelled. Raises Refused."""
    path = f"/v1/jobs/{segment(job['id'])}"
    bar = Progress(
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} " + unit),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=0)
        try:
            while job["state"] in ("waiting", "running"):
                bar.update(task, completed=job["done"], total=job["total"] or 0)
                time.sleep(_LOOK_SECONDS)
                job = client.ask("GET", path)
        except KeyboardInterrupt:
            client.ask("DELETE", path)
            raise
    if job["state"] != "done":
        raise Refused(job["error"] or f"The job {job['id']} was {job['state']}.")
    return job


def _offset(text: str) -> int:
    if not text.isdecimal():
        raise Misused(f"--from {text}: write earliest, latest, or an offset such as 1204.")
    return int(text)
