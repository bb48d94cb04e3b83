"""`firstvalue plan`: plans as files, published, shown and retired."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import convert

from services.activation_engine.plans.errors import PlanError
from services.cli.client import Client, FindClient, engine, segment
from services.cli.commands import plan_files, plan_versions
from services.cli.files import read_file
from services.cli.output import (
    REFUSED,
    AsJson,
    Refused,
    Yes,
    complain,
    confirm,
    print_json,
    say,
)
from services.cli.plan_effects import tell_effect
from services.cli.plan_sources import PLAN_HEADERS, PlanPath, show_errors
from services.cli.plan_warnings import warning_texts
from services.cli.shared_options import asking, may_ask

app = typer.Typer()
app.command()(plan_files.new)
app.command()(may_ask(engine)(plan_files.check))
app.command("test")(plan_files.try_out)
app.command()(may_ask(engine)(plan_versions.show))
app.command()(asking(engine)(plan_versions.diff))
app.command("list")(asking(engine)(plan_versions.list_plans))

_PLAN_ID = re.compile(r"^plan:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
PlanName = Annotated[str, typer.Argument(metavar="PLAN", help="The id of a published plan.")]


class Policy(StrEnum):
    """What becomes of milestones that accounts had reached before."""

    SILENT = "silent"
    EMIT = "emit"


@app.command()
@asking(engine)
def retire(
    plan: PlanName,
    *,
    yes: Yes = False,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """End a plan: accounts leave it without a signal, and what it alone tracked is forgotten."""
    if not yes:
        _look_for(client, plan)
    confirm(f"Retire the plan {plan}? Accounts leave it, and what it alone tracked is forgotten.", yes=yes)
    answer = client.ask("DELETE", f"/v1/plans/{segment(plan)}")
    if as_json:
        print_json(answer)
    elif answer["retired"]:
        say(f"{plan} is retired" if answer["changed"] else f"{plan} was retired already")
    else:
        say(f"{plan} is being retired, not on every partition yet: retire it again to wait for it")


def _look_for(client: Client, plan: str) -> None:
    """Raises Refused when there is no such plan to be asked about; a key that may not read has to be believed."""
    try:
        plan_versions.newest(client, plan)
    except Refused as refused:
        if refused.code != "scope_missing":
            raise


@app.command()
@may_ask(engine)
def publish(
    file: PlanPath,
    *,
    policy: Annotated[
        Policy, typer.Option(help="Milestones reached before: noted only, or announced.")
    ] = Policy.SILENT,
    find_client: FindClient,
    as_json: AsJson = False,
) -> None:
    """Publish a plan file as the newest version of its plan, and wait until it is live."""
    try:
        answer = _send(read_file(file), file, find_client(), policy=policy)
    except Refused as refusal:
        problem = refusal.problem
        if not problem.get("errors"):
            raise
        show_errors(problem["errors"], file, as_json=as_json, more_follow=problem.get("more_follow", False))
        raise typer.Exit(REFUSED) from None
    if as_json:
        print_json(answer)
    else:
        _tell_published(answer, file)


def _tell_published(answer: dict[str, Any], file: str) -> None:
    for warning in warning_texts(convert(answer.get("warnings", []), list[PlanError]), file):
        complain(f"warning: {warning}")
    done = "published" if answer["changed"] else "was published already"
    live = (
        "live: events from now on are judged by it"
        if answer["live"]
        else "not live on every partition yet: publish the same file again to wait for it"
    )
    say(f"{answer['plan']} version {answer['version']} {done}, {live}")
    tell_effect(answer)


def _send(text: bytes, file: str, client: Client, *, policy: Policy) -> Any:
    found = _PLAN_ID.search(text.decode(errors="replace"))
    # Without an id the service names the line on which one is missing.
    plan = found.group(1) if found else Path(file).stem.strip("-") or "plan"
    path = f"/v1/plans/{segment(plan)}"
    return client.ask("PUT", path, content=text, headers=PLAN_HEADERS, parameters={"policy": policy.value})
