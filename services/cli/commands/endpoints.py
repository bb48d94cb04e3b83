"""`firstvalue endpoint`: the URLs that receive signals, and what tries them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli.attempts import followed, told, under_way
from services.cli.client import Client, notifier, segment
from services.cli.output import (
    ROWS_DEFAULT,
    AsJson,
    Rows,
    Yes,
    confirm,
    counted,
    print_answer,
    print_fields,
    print_json,
    say,
)
from services.cli.shared_options import asking

app = typer.Typer()

EndpointId = Annotated[str, typer.Argument(help="The endpoint's id, as listed.")]
_Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the answer and say what it was.")]
_FIELDS = ("id", "url", "format", "types", "status", "created_at")


@app.command("list")
@asking(notifier)
def list_endpoints(*, limit: Rows = ROWS_DEFAULT, client: Client, as_json: AsJson = False) -> None:
    """List endpoints."""
    rows = list(client.rows("/v1/endpoints", limit=limit))
    print_fields(_FIELDS, rows, empty="no endpoints", as_json=as_json)


@app.command()
@asking(notifier)
def show(endpoint_id: EndpointId, *, client: Client, as_json: AsJson = False) -> None:
    """Show one endpoint with all its settings."""
    endpoint = client.ask("GET", _path(endpoint_id))
    if as_json:
        print_json(endpoint)
    else:
        say_terms(endpoint)


@app.command()
@asking(notifier)
def ping(
    endpoint_id: EndpointId,
    *,
    wait: _Wait = True,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Send a signed `endpoint.ping` and say what the endpoint answered; exits 1 when it was not a success."""
    _follow(client, client.ask("POST", f"{_path(endpoint_id)}/ping"), wait=wait, as_json=as_json)


@app.command("send-example")
@asking(notifier)
def send_example(
    endpoint_id: EndpointId,
    signal_type: Annotated[str, typer.Argument(help="As `firstvalue signal types` lists them.")],
    *,
    wait: _Wait = True,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Send the example of a signal type, marked as one, and say what the endpoint answered."""
    sent = client.ask("POST", f"{_path(endpoint_id)}/send-example", body={"type": signal_type})
    _follow(client, sent, wait=wait, as_json=as_json)


@app.command()
@asking(notifier)
def enable(
    endpoint_id: EndpointId,
    *,
    send_held: Annotated[bool, typer.Option("--send-held", help="Also send what was held meanwhile.")] = False,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Deliver again from now on; signals held meanwhile are sent with --send-held."""
    endpoint = client.ask("POST", f"{_path(endpoint_id)}/enable", body={"send_held": send_held})
    text = f"{endpoint['id']} is enabled{'' if send_held else _held(endpoint)}"
    print_answer(endpoint, text, as_json=as_json)


@app.command()
@asking(notifier)
def disable(endpoint_id: EndpointId, *, client: Client, as_json: AsJson = False) -> None:
    """Deliver nothing for now; new signals are held until `endpoint enable --send-held`."""
    endpoint = client.ask("POST", f"{_path(endpoint_id)}/disable")
    enable = f"firstvalue endpoint enable {endpoint['id']}"
    text = f"{endpoint['id']} is disabled. What comes for it is held; `{enable} --send-held` sends that too"
    print_answer(endpoint, text, as_json=as_json)


@app.command()
@asking(notifier)
def delete(
    endpoint_id: EndpointId,
    *,
    yes: Yes = False,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Delete an endpoint with its secrets; deliveries that still wait for it are cancelled."""
    endpoint = client.ask("GET", _path(endpoint_id))
    confirm(f"Delete {endpoint['id']} ({endpoint['url']}) and cancel the deliveries that wait for it?", yes=yes)
    client.ask("DELETE", _path(endpoint_id))
    print_answer({"id": endpoint["id"], "deleted": True}, f"{endpoint['id']} is deleted", as_json=as_json)


def say_terms(endpoint: dict[str, Any]) -> None:
    """An endpoint's terms for a person, one a line; what was not chosen is left out."""
    window = endpoint["delivery_window"]
    rate = endpoint["rate_per_second"]
    terms = {
        "id": endpoint["id"],
        "url": endpoint["url"],
        "description": endpoint["description"],
        "status": endpoint["status"] + (f" ({endpoint['disabled_reason']})" if endpoint["disabled_reason"] else ""),
        "format": endpoint["format"],
        **{name: " ".join(endpoint[name]) for name in ("types", "origins", "plans", "segments", "owners", "reasons")},
        "timeout": f"{endpoint['timeout_seconds']:g} s",
        "concurrency": f"{endpoint['concurrency_max']} requests at once",
        "rate": "" if rate is None else f"{rate:g} a second, {endpoint['burst']} at once after a pause",
        "retries after": " ".join(f"{pause:g} s" for pause in endpoint["retry_schedule_seconds"] or ()),
        "delivers": ""
        if window is None
        else f"{' '.join(window['days'])} {window['from']}-{window['until']} {window['time_zone']}, "
        + ("now" if endpoint["window_open"] else "not now"),
        "own headers": " ".join(endpoint["header_names"]),
    }
    width = max(map(len, terms))
    say("\n".join(f"{name:<{width}}  {value}" for name, value in terms.items() if value))


def _held(endpoint: dict[str, Any]) -> str:
    """What stays behind, and the way to send it."""
    if not endpoint["held"]:
        return ""
    held = counted(endpoint["held"], "delivery", "deliveries")
    verb = "stays" if endpoint["held"] == 1 else "stay"
    return f"; {held} {verb} held: `firstvalue endpoint enable {endpoint['id']} --send-held` sends what was held"


def _follow(client: Client, sent: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    if not wait:
        print_answer(sent, under_way(sent["delivery_id"]), as_json=as_json)
        return
    delivery = followed(client, sent["delivery_id"])
    print_answer(delivery, told(delivery), as_json=as_json)
    if delivery["status"] != "succeeded":
        raise typer.Exit(1)


def _path(endpoint_id: str) -> str:
    return f"/v1/endpoints/{segment(endpoint_id)}"
