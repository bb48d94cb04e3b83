"""`firstvalue key`: API keys and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.addresses import IngestUrl, Key, find
from services.cli.client import Client, segment
from services.cli.output import ROWS_DEFAULT, AsJson, Refused, Rows, confirm, print_json, print_table, say
from services.runtime.access import Scope

# Looked through for the one to revoke.
_KEYS_MAX = 100_000

EventsPerSecond = Annotated[float | None, typer.Option(help="Quota of each ingest replica.")]
BytesPerSecond = Annotated[float | None, typer.Option(help="Quota of each ingest replica.")]
BurstSeconds = Annotated[float | None, typer.Option(help="So many seconds' worth of the quota may come at once.")]
EventsMax = Annotated[int | None, typer.Option(help="Events in one request.")]
EventBytesMax = Annotated[int | None, typer.Option(help="Greatest event, in bytes.")]
BodyBytesMax = Annotated[int | None, typer.Option(help="Greatest body, in bytes.")]
Drop = Annotated[list[str] | None, typer.Option(help="Path to leave out of events, context.ip; repeat.")]
Hash = Annotated[list[str] | None, typer.Option("--hash", help="Path to hash in events; repeat.")]

app = typer.Typer(help="Create, list, change and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it; shown in lists.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; repeat for more.")],
    *,
    expires: Annotated[datetime | None, typer.Option(help="Last moment of validity, UTC. Default: never.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="A browser key: pages that may use it, https://app.acme.example; repeat.")
    ] = None,
    events_per_second: EventsPerSecond = None,
    bytes_per_second: BytesPerSecond = None,
    burst_seconds: BurstSeconds = None,
    events_max: EventsMax = None,
    event_bytes_max: EventBytesMax = None,
    body_bytes_max: BodyBytesMax = None,
    drop: Drop = None,
    hash_: Hash = None,
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
    body |= _rules(
        quota={
            "events_per_second": events_per_second,
            "bytes_per_second": bytes_per_second,
            "burst_seconds": burst_seconds,
        },
        limits={"events_max": events_max, "event_bytes_max": event_bytes_max, "body_bytes_max": body_bytes_max},
        redaction={"drop": drop, "hash": hash_},
    )
    created = Client(find("ingest", url=ingest_url, key=key)).ask("POST", "/v1/keys", body=body)
    if as_json:
        print_json(created)
    else:
        say(created["key"])


class Part(StrEnum):
    """What of a key can be taken back."""

    QUOTA = "quota"
    LIMITS = "limits"
    REDACTION = "redaction"


@app.command()
def patch(
    key_id: Annotated[str, typer.Argument(help="The public id, as listed.")],
    *,
    origin: Annotated[list[str] | None, typer.Option(help="Pages that may use it, in place of all before.")] = None,
    events_per_second: EventsPerSecond = None,
    bytes_per_second: BytesPerSecond = None,
    burst_seconds: BurstSeconds = None,
    events_max: EventsMax = None,
    event_bytes_max: EventBytesMax = None,
    body_bytes_max: BodyBytesMax = None,
    drop: Drop = None,
    hash_: Hash = None,
    clear: Annotated[list[Part] | None, typer.Option(help="Take this back as a whole; repeat.")] = None,
    ingest_url: IngestUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Change a key's origins, quota, limits and redaction; each that is named replaces all that was set of it."""
    body: dict[str, object] = {str(part): None for part in clear or ()}
    if origin:
        body["origins"] = origin
    body |= _rules(
        quota={
            "events_per_second": events_per_second,
            "bytes_per_second": bytes_per_second,
            "burst_seconds": burst_seconds,
        },
        limits={"events_max": events_max, "event_bytes_max": event_bytes_max, "body_bytes_max": body_bytes_max},
        redaction={"drop": drop, "hash": hash_},
    )
    if not body:
        raise Refused("Say what to change, such as --events-per-second 500, or what to take back with --clear.")
    changed = Client(find("ingest", url=ingest_url, key=key)).ask("PATCH", f"/v1/keys/{segment(key_id)}", body=body)
    if as_json:
        print_json(changed)
    else:
        say(f"changed {key_id}")


def _rules(**parts: Mapping[str, object]) -> dict[str, object]:
    """The parts of which anything was given."""
    given = {name: {field: value for field, value in part.items() if value is not None} for name, part in parts.items()}
    return {name: part for name, part in given.items() if part}


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
