"""`firstvalue delivery`: what became of each signal at each endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.addresses import Key, NotifierUrl, find
from services.cli.client import Client, segment
from services.cli.output import ROWS_DEFAULT, AsJson, Rows, print_json, print_table, say

app = typer.Typer(help="List and show deliveries.", no_args_is_help=True)

_FIELDS = ("id", "type", "endpoint_id", "status", "attempts", "next_at")
_ATTEMPT_FIELDS = ("at", "result", "status_code", "duration_ms", "response")


@app.command("list")
def list_deliveries(
    *,
    endpoint: Annotated[str | None, typer.Option(help="To this endpoint only.")] = None,
    status: Annotated[str | None, typer.Option(help="In this state only.")] = None,
    limit: Rows = ROWS_DEFAULT,
    notifier_url: NotifierUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries."""
    wanted = {"endpoint_id": endpoint, "status": status}
    client = Client(find("notifier", url=notifier_url, key=key))
    rows = list(client.rows("/v1/deliveries", parameters=wanted, limit=limit))
    if as_json:
        print_json(rows)
    else:
        print_table(_FIELDS, ([row.get(field) for field in _FIELDS] for row in rows))


@app.command()
def show(
    delivery_id: Annotated[str, typer.Argument(help="The delivery's id, as listed.")],
    *,
    notifier_url: NotifierUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show one delivery with every attempt."""
    client = Client(find("notifier", url=notifier_url, key=key))
    delivery = client.ask("GET", f"/v1/deliveries/{segment(delivery_id)}")
    if as_json:
        print_json(delivery)
        return
    say(f"{delivery['type']} to {delivery['endpoint_id']}: {delivery['status']}")
    print_table(_ATTEMPT_FIELDS, ([one.get(field) for field in _ATTEMPT_FIELDS] for one in delivery["log"]))
