"""`firstvalue event`: the events that the product sends."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.addresses import EngineUrl, Key, find
from services.cli.client import Client
from services.cli.output import ROWS_DEFAULT, AsJson, Rows, print_json, print_table

app = typer.Typer(help="Look at product events.", no_args_is_help=True)


# Makes `names` a verb below the noun although it is the only one.
@app.callback()
def event() -> None:
    """Look at product events."""


@app.command()
def names(
    *,
    query: Annotated[str | None, typer.Option(help="Part of the name, in whatever case.")] = None,
    limit: Rows = ROWS_DEFAULT,
    engine_url: EngineUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List the event names seen, which plans use them, and which have gone silent."""
    client = Client(find("engine", url=engine_url, key=key))
    rows = list(client.rows("/v1/catalog", parameters={"query": query}, limit=limit))
    if as_json:
        print_json(rows)
        return
    titles = ("event", "count", "first seen", "last seen", "used by", "silent")
    lines = (
        (one["name"], one["count"], one["first_seen_at"], one["last_seen_at"], one["used_by"] or None, one["silent"])
        for one in rows
    )
    print_table(titles, lines, empty="no events yet")
