"""`firstvalue key`: API keys and what they may do."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.client import Client, ingest, segment
from services.cli.output import (
    ROWS_DEFAULT,
    AsJson,
    Misused,
    Refused,
    Rows,
    Yes,
    complain,
    confirm,
    print_answer,
    print_fields,
)
from services.cli.shared_options import asking, composed
from services.runtime.access import Scope

# Looked through for the one to revoke.
_KEYS_MAX = 100_000

Body = dict[str, Any]

app = typer.Typer()


def key_rules(
    *,
    events_per_second: Annotated[float | None, typer.Option(help="Quota of each ingest replica.")] = None,
    bytes_per_second: Annotated[float | None, typer.Option(help="Quota of each ingest replica.")] = None,
    burst_seconds: Annotated[
        float | None, typer.Option(help="So many seconds' worth of the quota may come at once.")
    ] = None,
    events_max: Annotated[int | None, typer.Option(help="Events in one request.")] = None,
    event_bytes_max: Annotated[int | None, typer.Option(help="Greatest event, in bytes.")] = None,
    body_bytes_max: Annotated[int | None, typer.Option(help="Greatest body, in bytes.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Path to leave out of events, context.ip; repeat.")] = None,
    hash_: Annotated[list[str] | None, typer.Option("--hash", help="Path to hash in events; repeat.")] = None,
) -> Body:
    """What a key may send, as the API takes it: the parts of which anything was given."""
    quota = {"events_per_second": events_per_second, "bytes_per_second": bytes_per_second}
    parts: dict[str, Body] = {
        "quota": {**quota, "burst_seconds": burst_seconds},
        "limits": {"events_max": events_max, "event_bytes_max": event_bytes_max, "body_bytes_max": body_bytes_max},
        "redaction": {"drop": drop, "hash": hash_},
    }
    given = {name: {field: value for field, value in part.items() if value is not None} for name, part in parts.items()}
    return {name: part for name, part in given.items() if part}


def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it; shown in lists.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; repeat for more.")],
    *,
    expires: Annotated[datetime | None, typer.Option(help="Last moment of validity, UTC. Default: never.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="A browser key: pages that may use it, https://app.acme.example; repeat.")
    ] = None,
    rules: Body,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Create a key. It is shown once: keep it."""
    body: Body = {"name": name, "scopes": [str(one) for one in scope]}
    if expires is not None:
        body["expires_at"] = expires.replace(tzinfo=UTC).isoformat()
    if origin:
        body["origins"] = origin
    body |= rules
    created = client.ask("POST", "/v1/keys", body=body)
    print_answer(created, created["key"], as_json=as_json)
    if not as_json:
        complain(f"It is not shown again; in lists it is {created['id']}.")


class Part(StrEnum):
    """What of a key can be taken back."""

    QUOTA = "quota"
    LIMITS = "limits"
    REDACTION = "redaction"


def patch(
    key_id: Annotated[str, typer.Argument(help="The public id, as listed.")],
    *,
    origin: Annotated[list[str] | None, typer.Option(help="Pages that may use it, in place of all before.")] = None,
    rules: Body,
    clear: Annotated[list[Part] | None, typer.Option(help="Take this back as a whole; repeat.")] = None,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Change a key's origins, quota, limits or redaction; each that is named replaces what was set."""
    body: Body = {str(part): None for part in clear or ()}
    if origin:
        body["origins"] = origin
    body |= rules
    if not body:
        raise Misused("Say what to change, such as --events-per-second 500, or what to take back with --clear.")
    changed = client.ask("PATCH", f"/v1/keys/{segment(key_id)}", body=body)
    print_answer(changed, f"changed {key_id}", as_json=as_json)


app.command("create")(composed(create, rules=key_rules, client=ingest))
app.command("patch")(composed(patch, rules=key_rules, client=ingest))


@app.command("list")
@asking(ingest)
def list_keys(*, limit: Rows = ROWS_DEFAULT, client: Client, as_json: AsJson = False) -> None:
    """List keys by their public ids."""
    rows = list(client.rows("/v1/keys", limit=limit))
    shown = rows if as_json else [{**row, **{part: _in_words(row[part]) for part in Part}} for row in rows]
    fields = ("id", "name", "scopes", "origins", *Part, "created_at", "expires_at", "revoked_at")
    print_fields(fields, shown, empty="no keys", as_json=as_json)


@app.command()
@asking(ingest)
def revoke(
    key_id: Annotated[str, typer.Argument(help="The public id, as listed.")],
    *,
    yes: Yes = False,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Revoke a key for good."""
    if not yes:
        confirm(f"Revoke key {key_id} ({_name(client, key_id)})? Whoever uses it is refused from now on.", yes=False)
    client.ask("DELETE", f"/v1/keys/{segment(key_id)}")
    print_answer({"id": key_id, "revoked": True}, f"revoked {key_id}", as_json=as_json)


def _in_words(part: Body | None) -> str | None:
    """What is set of a key's quota, limits or redaction, under the names of the API."""
    given = {name: value for name, value in (part or {}).items() if value}
    texts = (
        f"{name} {' '.join(value) if isinstance(value, list) else f'{value:.12g}'}" for name, value in given.items()
    )
    return ", ".join(texts) or None


def _name(client: Client, key_id: str) -> str:
    """What the key was created for. Raises Refused when there is no such key to be asked about."""
    found = next((row for row in client.rows("/v1/keys", limit=_KEYS_MAX) if row["id"] == key_id), None)
    if found is None:
        raise Refused(f"There is no key {key_id}: `firstvalue key list` shows the ids.")
    return str(found["name"])
