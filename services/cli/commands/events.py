"""`firstvalue event`: send product events, follow what becomes of them, and list their names."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.client import Client, FindClient, engine, ingest, patiently
from services.cli.event_files import events_of, named
from services.cli.event_lines import COLOURS, line_of, mark_of
from services.cli.files import read_file
from services.cli.order_checks import check_happened
from services.cli.orders import values_of
from services.cli.output import (
    REFUSED,
    ROWS_DEFAULT,
    AsJson,
    Failed,
    Misused,
    Rows,
    complain,
    print_json,
    print_json_line,
    print_table,
    say,
    say_marked,
)
from services.cli.progress import counting
from services.cli.sending import Item, send_all
from services.cli.shared_options import asking, may_ask

app = typer.Typer()

_PAUSE_SECONDS = 1.0
_PAGE_ROWS = 100
_LINES_MAX = 200
_ERRORS_SHOWN = 20


class Status(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    UNRESOLVED = "unresolved"
    DEAD = "dead"


@app.command()
@may_ask(ingest)
def send(
    name: Annotated[str | None, typer.Argument(metavar="EVENT", help="Name of one event to send.")] = None,
    *,
    account: Annotated[str | None, typer.Option(help="The account's id, for one event.")] = None,
    user: Annotated[str | None, typer.Option(help="The person's id, for one event.")] = None,
    role: Annotated[str | None, typer.Option(help="Their role on this event, such as champion.")] = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", metavar="NAME=VALUE", help="Of one event; repeat for more.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="When it happened, like 2026-11-20T10:00:00Z. Default: now.")] = None,
    message_id: Annotated[str | None, typer.Option("--id", help="Its message id. Default: a new one.")] = None,
    file: Annotated[
        str | None, typer.Option(help="JSON or a JSON object per line, as SDKs send events; - is standard input.")
    ] = None,
    find_client: FindClient,
    as_json: AsJson = False,
) -> None:
    """Send one event, or those in a file; says what to change in each that is rejected."""
    if name is None and file is None:
        raise Misused("Name one event to send, or a file of events with --file.")
    if name is not None and file is not None:
        raise Misused(f"Name one event, or a file of events, not both: {name} and {file} were given.")
    one = {"account": account, "user": user, "role": role, "property": properties, "at": at, "id": message_id}
    given = [option for option, value in one.items() if value]
    if at is not None:
        check_happened(at, datetime.now(UTC))
    if file is not None and given:
        raise Misused(f"--{given[0]} describes one event; the events in a file say it themselves.")
    if role is not None and user is None:
        raise Misused("--role is a person's: name them with --user.")
    # A property may name the account, as ingest is set up.
    if file is None and not (account or user or properties):
        raise Misused("Say whose event it is: --account acme, or --user kim for a person whose account is known.")
    items = list(events_of(read_file(file), file)) if file else [Item("event", named(_event(name, one)))]
    client = find_client()
    with counting("sending", total=len(items)) as told:
        outcome = send_all(client, "/v1/batch", items, wrap=lambda batch: {"batch": batch}, told=told)
    if as_json:
        errors = [error._asdict() for error in outcome.errors]
        print_json({"accepted": outcome.accepted, "rejected": outcome.rejected, "errors": errors})
    else:
        for error in outcome.errors[:_ERRORS_SHOWN]:
            complain(f"{error.place}: {error.message} ({error.code})")
        if outcome.rejected > _ERRORS_SHOWN:
            complain(f"and {outcome.rejected - _ERRORS_SHOWN} more; --json lists them")
        say(f"accepted {outcome.accepted}, rejected {outcome.rejected}")
    if outcome.accepted and user is not None and account is None:
        _tell_if_it_waits(client, items[0].value)
    if outcome.rejected:
        raise typer.Exit(REFUSED)


@app.command()
@asking(ingest)
def tail(
    *,
    status: Annotated[list[Status] | None, typer.Option(help="Only these; repeat for more. Default: all.")] = None,
    account: Annotated[str | None, typer.Option(help="Of this account only.")] = None,
    user: Annotated[str | None, typer.Option(help="Of this person only.")] = None,
    event: Annotated[str | None, typer.Option(help="With this name only.")] = None,
    lines: Annotated[int, typer.Option(min=0, max=_LINES_MAX, help="How many to show that are there already.")] = 10,
    follow: Annotated[bool, typer.Option(help="Wait for more until Ctrl-C.")] = True,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Show what became of the newest events, and follow: accepted, unresolved (no account yet), or dead (refused)."""
    filters = {"account_id": account, "user_id": user, "event": event}
    wanted = status or list(Status)
    with suppress(KeyboardInterrupt):
        rows, places, older = _newest(client, wanted, filters, lines)
        _print_rows(rows, as_json=as_json)
        if not (rows or follow):
            complain("no such events" if status or any(filters.values()) else "no events yet")
        elif older and not follow:
            complain(f"there are older ones: --lines N shows up to {_LINES_MAX}")
        while follow:
            time.sleep(_PAUSE_SECONDS)
            for one in wanted:
                newer, places[one] = patiently(lambda one=one: _since(client, one, filters, places[one]))  # type: ignore[misc]
                _print_rows(newer, as_json=as_json)


@app.command()
@asking(engine)
def names(
    *,
    query: Annotated[str | None, typer.Option(help="Part of the name, in whatever case.")] = None,
    limit: Rows = ROWS_DEFAULT,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """List the event names seen, which plans use them, and which have gone silent."""
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


def _tell_if_it_waits(client: Client, event: dict[str, Any]) -> None:
    """That nobody knows whose an accepted event is, as far as the key may ask."""
    with suppress(Failed):
        rows = _page(client, Status.UNRESOLVED, {"message_id": event["messageId"]}, limit=1)["data"]
        if rows and rows[0]["waiting"] is not False:
            complain(
                f"It waits until a group call says of which account {event['userId']} is; --account names one at once."
            )


def _event(name: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """One event as an SDK sends it; without a person it is the account's own."""
    assert name is not None
    event: dict[str, Any] = {"type": "track", "event": name, "timestamp": given["at"] or datetime.now(UTC).isoformat()}
    context = {"groupId": given["account"], "traits": given["role"] and {"role": given["role"]}}
    if known := {name: value for name, value in context.items() if value is not None}:
        event["context"] = known
    if given["user"] is not None:
        event["userId"] = given["user"]
    else:
        event["anonymousId"] = "firstvalue-command"
    if given["property"]:
        event["properties"] = values_of(given["property"], otherwise="no property: write name=value")
    return event | ({"messageId": given["id"]} if given["id"] is not None else {})


def _newest(
    client: Client, wanted: list[Status], filters: dict[str, str | None], lines: int
) -> tuple[list[dict[str, Any]], dict[str, str], bool]:
    """The newest of all together, newest first, from where each status goes on, and whether there are older ones."""
    answers = {one: _page(client, one, filters, limit=max(lines, 1)) for one in wanted}
    rows = [row for answer in answers.values() for row in answer["data"]]
    rows.sort(key=lambda row: row["at"], reverse=True)
    older = len(rows) > lines or any(answer["next"] is not None for answer in answers.values())
    return rows[:lines], {one: answer["latest"] for one, answer in answers.items()}, older


def _since(client: Client, status: str, filters: dict[str, str | None], place: str) -> tuple[list[dict[str, Any]], str]:
    """All that was written since, newest first, and from where to go on."""
    first = answer = _page(client, status, filters, after=place)
    rows = list(answer["data"])
    while answer["next"] is not None:
        answer = _page(client, status, filters, after=place, cursor=answer["next"])
        rows += answer["data"]
    return rows, first["latest"]


def _page(client: Client, status: str, filters: dict[str, str | None], **parameters: Any) -> dict[str, Any]:
    asked = {"status": status, "limit": _PAGE_ROWS, **filters, **parameters}
    answer: dict[str, Any] = client.ask("GET", "/v1/events", parameters=asked)
    return answer


def _print_rows(newest_first: list[dict[str, Any]], *, as_json: bool) -> None:
    for row in reversed(newest_first):
        if as_json:
            print_json_line(row)
        else:
            say_marked(mark_of(row), f"  {line_of(row)}", colour=COLOURS[row["status"]])
