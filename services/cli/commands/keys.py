"""`firstvalue key`: API keys and what they may do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from services.cli.addresses import IngestUrl, Key, find
from services.cli.client import Client, segment
from services.cli.output import ROWS_DEFAULT, AsJson, Refused, Rows, confirm, print_json, print_table, say
from services.runtime.access import Scope

# Looked through for the one to revoke.
_KEYS_MAX = 100_000

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it; shown in lists.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; repeat for more.")],
    *,
    expires: Annotated[datetime | None, typer.Option(help="Last moment of validity, UTC. Default: never.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="A browser key: pages that may use it, https://app.acme.example; repeat.")
    ] = None,
    ingest_url: IngestUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a key. It is shown once: keep it."""
    body: dict[str, object] = {"name": name, "scopes": [str(one) for one in scope]}
    if expires is not None:
        body["expires_at"] = expires.replace(tzinfo=UTC).isoformat()
    if origin:
        body["origins"] = origin
    created = Client(find("ingest", url=ingest_url, key=key)).ask("POST", "/v1/keys", body=body)
    if as_json:
        print_json(created)
    else:
        say(created["key"])


@app.command("list")
def list_keys(
    *, limit: Rows = ROWS_DEFAULT, ingest_url: IngestUrl = None, key: Key = None, as_json: AsJson = False
) -> None:
    """List keys by their public ids."""
    rows = list(Client(find("ingest", url=ingest_url, key=key)).rows("/v1/keys", limit=limit))
    if as_json:
        print_json(rows)
        return
    fields = ("id", "name", "scopes", "created_at", "expires_at", "revoked_at")
    print_table(fields, ([row.get(field) for field in fields] for row in rows), empty="no keys")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The public id, as listed.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ingest_url: IngestUrl = None,
    key: Key = None,
) -> None:
    """Revoke a key for good."""
    client = Client(find("ingest", url=ingest_url, key=key))
    if not yes:
        confirm(f"Revoke key {key_id} ({_name(client, key_id)})? Whoever uses it is refused from now on.", yes=False)
    client.ask("DELETE", f"/v1/keys/{segment(key_id)}")
    say(f"revoked {key_id}")


def _name(client: Client, key_id: str) -> str:
    """What the key was created for. Raises Refused when there is no such key to be asked about."""
    found = next((row for row in client.rows("/v1/keys", limit=_KEYS_MAX) if row["id"] == key_id), None)
    if found is None:
        raise Refused(f"There is no key {key_id}: `firstvalue key list` shows the ids.")
    return str(found["name"])
