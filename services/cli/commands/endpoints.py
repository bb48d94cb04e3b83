"""`firstvalue endpoint`: the URLs that receive signals."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.addresses import Key, NotifierUrl, find
from services.cli.client import Client, segment
from services.cli.output import ROWS_DEFAULT, AsJson, Rows, print_json, print_table, say

app = typer.Typer(help="Add, list and ping webhook endpoints.", no_args_is_help=True)


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where signals are posted.")],
    *,
    types: Annotated[list[str] | None, typer.Option("--type", help="Signal type or pattern; repeat for more.")] = None,
    notifier_url: NotifierUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint; prints the secret that its receiver verifies signatures with."""
    body: dict[str, object] = {"url": url}
    if types:
        body["types"] = types
    created = Client(find("notifier", url=notifier_url, key=key)).ask("POST", "/v1/endpoints", body=body)
    if as_json:
        print_json(created)
    else:
        say(f"id      {created['id']}\nsecret  {created['secret']}")


@app.command("list")
def list_endpoints(
    *, limit: Rows = ROWS_DEFAULT, notifier_url: NotifierUrl = None, key: Key = None, as_json: AsJson = False
) -> None:
    """List endpoints."""
    rows = list(Client(find("notifier", url=notifier_url, key=key)).rows("/v1/endpoints", limit=limit))
    if as_json:
        print_json(rows)
        return
    fields = ("id", "url", "types", "status", "created_at")
    print_table(fields, ([row.get(field) for field in fields] for row in rows), empty="no endpoints")


@app.command()
def ping(
    endpoint_id: Annotated[str, typer.Argument(help="The endpoint's id, as listed.")],
    *,
    notifier_url: NotifierUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send an `endpoint.ping`; `firstvalue delivery list` shows what became of it."""
    answer = Client(find("notifier", url=notifier_url, key=key)).ask(
        "POST", f"/v1/endpoints/{segment(endpoint_id)}/ping"
    )
    if as_json:
        print_json(answer)
    else:
        say("ping is on its way")
