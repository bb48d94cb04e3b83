"""`firstvalue signal`: what the engine announces, as it happens, and the types that there are."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

import typer

from services.cli.client import Client, engine, notifier
from services.cli.output import AsJson, complain, print_json, print_json_line, print_table, say
from services.cli.shared_options import asking
from services.cli.signal_lines import line_of

app = typer.Typer()

_PAUSE_SECONDS = 0.5
_PAGE_ROWS = 200


@app.command()
@asking(notifier)
def types(*, client: Client, as_json: AsJson = False) -> None:
    """List the signal types that endpoints can ask for, each with what its example says."""
    answer = client.ask("GET", "/v1/signal-types")
    if as_json:
        print_json(answer["data"])
        return
    rows = ([one["type"], one["examples"][0]["summary"] if one["examples"] else None] for one in answer["data"])
    print_table(("type", "example"), rows, empty="no types")


@app.command()
@asking(engine)
def tail(
    *,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest signal.")] = False,
    after: Annotated[str | None, typer.Option(help="Begin after this cursor of the API.")] = None,
    follow: Annotated[bool, typer.Option(help="Wait for more until Ctrl-C.")] = True,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Print signals as they come, one line each."""
    place = after if after is not None else (None if from_start or not follow else "latest")
    none_yet = True
    with suppress(KeyboardInterrupt):
        while True:
            answer = client.ask("GET", "/v1/signals", parameters={"after": place, "limit": _PAGE_ROWS})
            place = answer["next"]
            for sent in answer["data"]:
                none_yet = False
                if as_json:
                    print_json_line(sent)
                else:
                    say(line_of(sent))
            if answer["data"]:
                continue
            if not follow:
                break
            time.sleep(_PAUSE_SECONDS)
    if none_yet and not follow:
        complain("no signals yet")
