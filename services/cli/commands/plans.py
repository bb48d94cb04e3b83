"""`firstvalue plan`: check a plan file and publish it."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.activation_engine.plans.loader import PlanErrors, load_plan
from services.cli.addresses import EngineUrl, Key, find
from services.cli.client import Client, segment
from services.cli.output import REFUSED, AsJson, Misused, Refused, complain, print_json, say

app = typer.Typer(help="Check and publish plans.", no_args_is_help=True)

PlanFile = Annotated[str, typer.Argument(help="A plan file, or - for standard input.")]
_PLAN_ID = re.compile(r"^plan:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)


class Policy(StrEnum):
    """What becomes of milestones that accounts had reached before."""

    SILENT = "silent"
    EMIT = "emit"


@app.command()
def check(file: PlanFile, *, as_json: AsJson = False) -> None:
    """Check a plan file, here and without a service; each error with its line and what to write instead."""
    try:
        checked = load_plan(_decoded(_read(file), file), file=file)
    except PlanErrors as refused:
        _show(refused.to_list(), file, as_json=as_json)
        raise typer.Exit(REFUSED) from None
    if as_json:
        print_json({"plan": checked.plan.id, "title": checked.title, "hash": checked.hash, "valid": True})
    else:
        say(f"{checked.plan.id} is valid: {checked.title}")


@app.command()
def publish(
    file: PlanFile,
    *,
    policy: Annotated[
        Policy, typer.Option(help="Milestones reached before: noted only, or announced.")
    ] = Policy.SILENT,
    engine_url: EngineUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Publish a plan file as the newest version of its plan, and wait until it is live."""
    client = Client(find("engine", url=engine_url, key=key))
    try:
        answer = _send(_read(file), file, client, policy=policy)
    except Refused as refusal:
        errors = (refusal.problem or {}).get("errors")
        if not errors:
            raise
        _show(errors, file, as_json=as_json)
        raise typer.Exit(REFUSED) from None
    if as_json:
        print_json(answer)
        return
    done = "published" if answer["changed"] else "was published already"
    live = (
        "live: events from now on are judged by it"
        if answer["live"]
        else "not live on every partition yet: publish the same file again to wait for it"
    )
    say(f"{answer['plan']} version {answer['version']} {done}, {live}")


def _send(text: bytes, file: str, client: Client, *, policy: Policy) -> Any:
    found = _PLAN_ID.search(text.decode(errors="replace"))
    # Without an id the service names the line on which one is missing.
    plan = found.group(1) if found else Path(file).stem.strip("-") or "plan"
    headers = {"content-type": "application/yaml"}
    path = f"/v1/plans/{segment(plan)}"
    return client.ask("PUT", path, content=text, headers=headers, parameters={"policy": policy.value})


def _show(errors: list[dict[str, Any]], file: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"errors": errors})
        return
    for error in errors:
        hint = f"\n  {error['hint']}" if error.get("hint") else ""
        complain(f"{file}:{error['line']}:{error['column']}: {error['message']}{hint}")


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Misused(f"Cannot read {file}: {error.strerror}") from error


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(f"{file}:{line}: this is not UTF-8; save the file as UTF-8.") from error
