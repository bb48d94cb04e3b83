"""`firstvalue account`: which accounts there are, where each stands, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from schemas.signals import Status
from services.cli.account_views import about, show_account, show_explanation
from services.cli.client import Client, engine, segment
from services.cli.live_plans import live_plans
from services.cli.output import ROWS_DEFAULT, AsJson, Refused, Rows, complain, print_json, print_table, say
from services.cli.shared_options import asking
from services.cli.signal_lines import line_of

app = typer.Typer()

TITLES = ("account", "name", "plan", "status", "reason", "started", "first value", "done", "last active")

AccountId = Annotated[str, typer.Argument(help="The account's id, as the product sends it.")]


@app.command("list")
@asking(engine)
def list_accounts(
    *,
    plan: Annotated[str | None, typer.Option(help="Under this plan only.")] = None,
    status: Annotated[Status | None, typer.Option(help="With this status.")] = None,
    segment_name: Annotated[str | None, typer.Option("--segment", help="For example smb.")] = None,
    milestone: Annotated[str | None, typer.Option(help="That reached this milestone, by its id.")] = None,
    owner: Annotated[str | None, typer.Option(help="The trait `owner`.")] = None,
    limit: Rows = ROWS_DEFAULT,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """List accounts with their status under each plan."""
    wanted = {"plan": plan, "status": status, "segment": segment_name, "milestone": milestone, "owner": owner}
    rows = list(client.rows("/v1/accounts", parameters=wanted, limit=limit))
    if as_json:
        print_json(rows)
        return
    asked = ", ".join(f"{name}={value}" for name, value in wanted.items() if value is not None)
    empty = f"no account matches ({asked})" if asked else "no accounts"
    print_table(TITLES, (line for row in rows for line in lines_of(row, wanted)), empty=empty)


@app.command()
@asking(engine)
def show(account_id: AccountId, *, client: Client, as_json: AsJson = False) -> None:
    """Show one account: traits, people, milestones under each plan."""
    account = client.ask("GET", f"/v1/accounts/{segment(account_id)}")
    if as_json:
        print_json(account)
        return
    show_account(account, _closed_by_hand(client, account))


@app.command()
@asking(engine)
def explain(account_id: AccountId, *, client: Client, as_json: AsJson = False) -> None:
    """Say why an account has its status, and what would change it."""
    explanation = client.ask("GET", f"/v1/accounts/{segment(account_id)}/explain")
    if as_json:
        print_json(explanation)
    else:
        show_explanation(explanation)
        if not explanation["plans"] and _nothing_live(client):
            complain("No plan is live at all: `firstvalue plan publish` makes one so.")


@app.command()
@asking(engine)
def timeline(
    account_id: AccountId,
    *,
    limit: Rows = ROWS_DEFAULT,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """List what was announced about an account, in the order in which it was sent."""
    path = f"/v1/accounts/{segment(account_id)}/timeline"
    pages = list(client.pages(path, limit=limit))
    rows, superseded = [row for page in pages for row in page["data"]], pages[-1]["superseded"]
    if as_json:
        print_json({"data": rows, "superseded": superseded})
    elif not rows:
        complain("nothing was announced yet")
    else:
        for row in rows:
            say(line_of(row, superseded=superseded))


def _closed_by_hand(client: Client, account: dict[str, Any]) -> dict[str, str]:
    """Of plans that somebody ended, in a sentence, with the reason that was given."""
    closed = {one["plan"] for one in account["plans"] if one["reason"] == "closed_by_hand"}
    if not closed:
        return {}
    plans = client.ask("GET", f"/v1/accounts/{segment(account['id'])}/explain")["plans"]
    return {one["plan"]: one["next"] for one in plans if one["plan"] in closed}


def _nothing_live(client: Client) -> bool:
    """False also for a key that may not read plans."""
    try:
        return not live_plans(client)
    except Refused:
        return False


def lines_of(row: dict[str, Any], wanted: dict[str, Any]) -> list[tuple[Any, ...]]:
    """A line per plan of the account, of those that were asked for by `plan`, `status`, `segment` and `milestone`."""
    asked = {name: wanted[name] for name in ("plan", "status", "segment") if wanted[name] is not None}
    account = (row["id"], row["traits"].get("name"))
    return [
        (
            *account,
            plan["plan"],
            plan["status"],
            plan["reason"],
            plan["started_at"],
            plan["first_value_at"],
            f"{plan['completion_rate']:.0%}",
            about(row["last_activity_at"]),
        )
        for plan in row["plans"]
        if all(plan[name] == value for name, value in asked.items()) and wanted["milestone"] in (None, *plan["reached"])
    ] or [(*account, None, None, None, None, None, None, about(row["last_activity_at"]))]
