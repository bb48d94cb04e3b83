"""`firstvalue endpoint replay` and `cancel-replay`: send an endpoint again what it was owed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from services.cli.client import Client, notifier, segment
from services.cli.commands.endpoints import EndpointId, app
from services.cli.output import AsJson, counted, print_answer
from services.cli.shared_options import asking

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z"]
_States = Annotated[
    list[str] | None, typer.Option("--status", help="In this state; repeat for more. Default: all but succeeded.")
]


@app.command()
@asking(notifier)
def replay(
    endpoint_id: EndpointId,
    *,
    since: Annotated[datetime, typer.Option(formats=_FORMATS, help="What it was owed from then on (UTC).")],
    until: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="And before then. Default: now.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Signal type or pattern; repeat for more.")] = None,
    statuses: _States = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Send an endpoint again what it has not received: same ids, behind new signals."""
    body: dict[str, Any] = {"since": _utc(since), "dry_run": dry_run}
    if until:
        body["until"] = _utc(until)
    if types:
        body["types"] = types
    if statuses:
        body["statuses"] = statuses
    answer = client.ask("POST", f"/v1/endpoints/{segment(endpoint_id)}/replay", body=body)
    deliveries = counted(answer["total"], "delivery", "deliveries")
    told = f"{deliveries} would be sent"
    if not dry_run:
        stop = f"stop it with `firstvalue endpoint cancel-replay {answer['id']}`"
        told = f"replay {answer['id']}: {deliveries}; {stop}"
    print_answer(answer, told, as_json=as_json)


@app.command("cancel-replay")
@asking(notifier)
def cancel_replay(
    replay_id: Annotated[str, typer.Argument(help="The replay's id, as printed when it began.")],
    *,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Stop a replay; deliveries not sent yet get their former state back."""
    answer = client.ask("DELETE", f"/v1/replays/{segment(replay_id)}")
    received = f"{answer['succeeded']} of {answer['total']} had been received"
    print_answer(answer, f"replay {answer['id']} is cancelled; {received}", as_json=as_json)


def _utc(moment: datetime) -> str:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
