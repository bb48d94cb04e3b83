"""`firstvalue plan`: plans as files, published, shown and retired."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import convert

from services.activation_engine.plans.english import in_english
from services.activation_engine.plans.errors import PlanError
from services.activation_engine.plans.loader import load_plan
from services.cli.addresses import EngineUrl, Key, find
from services.cli.client import Client, segment
from services.cli.commands import plan_files
from services.cli.output import (
    REFUSED,
    ROWS_DEFAULT,
    AsJson,
    Refused,
    Rows,
    complain,
    confirm,
    print_fields,
    print_json,
    say,
    terminal_width,
)
from services.cli.plan_effects import tell_effect
from services.cli.plan_sources import PLAN_HEADERS, PlanPath, loaded, read_bytes, read_text, show_errors
from services.cli.plan_warnings import warning_texts

app = typer.Typer()
app.command()(plan_files.new)
app.command()(plan_files.check)
app.command("test")(plan_files.try_out)

_PLAN_ID = re.compile(r"^plan:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_LINE_CHARACTERS = 100
PlanName = Annotated[str, typer.Argument(metavar="PLAN", help="The id of a published plan.")]


class Policy(StrEnum):
    """What becomes of milestones that accounts had reached before."""

    SILENT = "silent"
    EMIT = "emit"


@app.command()
def show(
    what: Annotated[str, typer.Argument(metavar="FILE|PLAN", help="A plan file, - , or the id of a published plan.")],
    *,
    engine_url: EngineUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Print a plan as English sentences: a file here, a published plan by its newest version."""
    about: dict[str, Any] = {}
    if _is_file(what):
        text, name = read_text(what), what
    else:
        published = _published(Client(find("engine", url=engine_url, key=key)), what)
        text, name = published["source"], f"{what}.yaml"
        about = {"version": published["version"], "retired": published["versions"][0]["policy"] == "retired"}
    checked = loaded(lambda: load_plan(text, file=name), name, as_json=as_json)
    english = in_english(checked, width=min(terminal_width(otherwise=_LINE_CHARACTERS), _LINE_CHARACTERS))
    if as_json:
        print_json({"plan": checked.plan.id, "title": checked.title, "hash": checked.hash, **about, "text": english})
        return
    if about.get("retired"):
        complain(
            f"{what} is retired: no account runs under it any more. This was its last version, {about['version']}."
        )
    say(english.rstrip("\n"))


def _published(client: Client, plan: str) -> Any:
    """The newest version of a published plan. Raises Refused."""
    try:
        return client.ask("GET", f"/v1/plans/{segment(plan)}")
    except Refused as refused:
        if refused.code != "plan_unknown":
            raise
        instead = f"`firstvalue plan list` shows those that are. A file is named with its ending: {plan}.yaml"
        raise Refused(f"No plan {plan} is published: {instead}", problem=refused.problem) from None


def _is_file(what: str) -> bool:
    return what == "-" or what.endswith((".yaml", ".yml")) or "/" in what or Path(what).is_file()


@app.command("list")
def list_plans(
    *, limit: Rows = ROWS_DEFAULT, engine_url: EngineUrl = None, key: Key = None, as_json: AsJson = False
) -> None:
    """List published plans, each by its newest version."""
    client = Client(find("engine", url=engine_url, key=key))
    rows = list(client.rows("/v1/plans", limit=limit))
    if as_json:
        print_json({"data": rows, "next": None})
        return
    columns = ("plan", "version", "title", "policy", "live", "published_at")
    print_fields(columns, rows, empty="No plan is published: start with `firstvalue plan new`.")


@app.command()
def retire(
    plan: PlanName,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    engine_url: EngineUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """End a plan: accounts leave it without a signal, and what it alone tracked is forgotten."""
    client = Client(find("engine", url=engine_url, key=key))
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
        _published(client, plan)
    except Refused as refused:
        if refused.code != "scope_missing":
            raise


@app.command()
def publish(
    file: PlanPath,
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
        answer = _send(read_bytes(file), file, client, policy=policy)
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
