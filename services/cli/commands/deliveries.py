"""`firstvalue delivery`: what became of each signal at each endpoint."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli.attempts import under_way
from services.cli.client import Client, notifier, segment
from services.cli.output import ROWS_DEFAULT, AsJson, Rows, print_answer, print_fields, print_json, say
from services.cli.shared_options import asking

app = typer.Typer()

_FIELDS = ("id", "created_at", "type", "account_id", "endpoint_id", "status", "attempts", "next_at")
_PHASES = ("resolve_ms", "connect_ms", "wait_ms")
_ATTEMPT_FIELDS = ("at", "trigger", "result", "status_code", "duration_ms", *_PHASES, "answer")
# Enough to recognise an answer; `--json` prints as much as was kept.
_ANSWER_CHARACTERS = 120


@app.command("list")
@asking(notifier)
def list_deliveries(
    *,
    endpoint: Annotated[str | None, typer.Option(help="To this endpoint only.")] = None,
    status: Annotated[str | None, typer.Option(help="In this state only.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Of this signal type only.")] = None,
    signal: Annotated[str | None, typer.Option(help="Of this signal (its id) only.")] = None,
    account: Annotated[str | None, typer.Option(help="About this account only.")] = None,
    limit: Rows = ROWS_DEFAULT,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """List deliveries."""
    wanted = {"endpoint_id": endpoint, "status": status, "type": type_, "signal_id": signal, "account_id": account}
    rows = list(client.rows("/v1/deliveries", parameters=wanted, limit=limit))
    print_fields(_FIELDS, rows, empty="no deliveries", as_json=as_json)


@app.command()
@asking(notifier)
def show(
    delivery_id: Annotated[str, typer.Argument(help="The delivery's id, as listed.")],
    *,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Show one delivery with every attempt."""
    delivery = client.ask("GET", f"/v1/deliveries/{segment(delivery_id)}")
    if as_json:
        print_json(delivery)
    else:
        show_delivery(delivery)


def show_delivery(delivery: dict[str, Any]) -> None:
    """How it stands, and its attempts with the time that each phase took."""
    held = f" ({delivery['hold_reason']})" if delivery["hold_reason"] else ""
    due = f", next attempt {delivery['next_at']}" if delivery["status"] == "pending" else ""
    say(f"{delivery['type']} to {delivery['endpoint_id']}: {delivery['status']}{held}{due}")
    attempts = ({**one, **one["phases"], "answer": _answer(one)} for one in delivery["log"])
    print_fields(_ATTEMPT_FIELDS, attempts, empty="no attempt has ended yet")


@app.command()
@asking(notifier)
def retry(
    delivery_id: Annotated[str, typer.Argument(help="The delivery's id, as listed.")],
    *,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Send one delivery now, in place of its next automatic attempt; the same id and bytes."""
    answer = client.ask("POST", f"/v1/deliveries/{segment(delivery_id)}/retry")
    print_answer(answer, under_way(answer["delivery_id"]), as_json=as_json)


def _answer(attempt: dict[str, Any]) -> str | None:
    """What the receiver said, else why nobody said anything."""
    text: str | None = attempt["response"] or attempt["error"]
    return text if text is None or len(text) <= _ANSWER_CHARACTERS else f"{text[:_ANSWER_CHARACTERS]}…"
