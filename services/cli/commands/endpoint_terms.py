"""`firstvalue endpoint add|patch|rotate|secret`: what an endpoint is to get, and the keys that sign it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli.client import Client, FindClient, engine, notifier, segment
from services.cli.commands.endpoints import EndpointId, app, say_terms
from services.cli.live_plans import unlive_plans
from services.cli.output import AsJson, Misused, complain, print_fields, print_json, say
from services.cli.shared_options import asking, composed, later

Body = dict[str, Any]
_Many = list[str] | None
Secret = Annotated[
    str | None, typer.Option(envvar="FIRSTVALUE_ENDPOINT_SECRET", help="whsec_… or whsk_…; default: made for you.")
]
Signature = Annotated[str | None, typer.Option(help="v1 (HMAC, default) or v1a (ed25519), for a secret made for you.")]


def endpoint_terms(
    *,
    types: Annotated[_Many, typer.Option("--type", help="Signal type or pattern; repeat for more.")] = None,
    origins: Annotated[_Many, typer.Option("--origin", help="live, catch_up, plan_change; repeat for more.")] = None,
    plans: Annotated[_Many, typer.Option("--plan", help="Of this plan only; repeat for more.")] = None,
    segments: Annotated[_Many, typer.Option("--segment", help="Of this segment only; repeat for more.")] = None,
    owners: Annotated[_Many, typer.Option("--owner", help="Of this owner only; repeat for more.")] = None,
    reasons: Annotated[
        _Many, typer.Option("--reason", help="For this reason only, such as quiet; repeat for more.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is, for people.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds of a whole attempt, 1-30.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests at once, 1-100.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second in the long run, 0.1-1000.")] = None,
    burst: Annotated[int | None, typer.Option(help="Requests at once after a pause.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Seconds after each failure, such as 5,300,1800.")] = None,
    window: Annotated[
        str | None, typer.Option(help="Hours of delivery, such as '08:00-18:00 Europe/Berlin mon,tue,wed,thu,fri'.")
    ] = None,
    headers: Annotated[_Many, typer.Option("--header", help="'name: value' to send along; repeat for more.")] = None,
) -> Body:
    """What an endpoint is to get and how, as the API takes it; what was not given is left out."""
    # An option that may be repeated is empty when it was not given.
    given: Body = {
        "types": types or None,
        "origins": origins or None,
        "plans": plans or None,
        "segments": segments or None,
        "owners": owners or None,
        "reasons": reasons or None,
        "description": description,
        "timeout_seconds": timeout,
        "concurrency_max": concurrency,
        "rate_per_second": rate,
        "burst": burst,
        "retry_schedule_seconds": None if schedule is None else _numbers(schedule),
        "delivery_window": None if window is None else _window(window),
        "headers": _headers(headers) if headers else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def add(
    url: Annotated[str, typer.Argument(help="Where signals are posted.")],
    *,
    terms: Body,
    format_: Annotated[str | None, typer.Option("--format", help="standard (default) or slack.")] = None,
    secret: Secret = None,
    signature: Signature = None,
    client: Client,
    find_engine: FindClient,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint; prints the secret that its receiver verifies signatures with."""
    own = {"url": url, "format": format_, "secret": secret, "signature": signature}
    body = terms | {name: value for name, value in own.items() if value is not None}
    created = client.ask("POST", "/v1/endpoints", body=body)
    if as_json:
        print_json(created)
    else:
        say(f"id      {created['id']}\nsecret  {created['secret']}")
        if created["public_key"]:
            say(f"public  {created['public_key']}")
    _doubt(terms, find_engine)


def patch(
    endpoint_id: EndpointId,
    *,
    url: Annotated[str | None, typer.Option(help="Where signals are posted from now on.")] = None,
    terms: Body,
    clear: Annotated[
        _Many, typer.Option(help="Take away plans, segments, owners, reasons, rate, schedule, window or headers.")
    ] = None,
    client: Client,
    find_engine: FindClient,
    as_json: AsJson = False,
) -> None:
    """Change what is named; the rest stays."""
    body = terms | _cleared(clear or []) | ({} if url is None else {"url": url})
    if not body:
        raise Misused("Name what to change, such as --timeout 5; --help lists everything.")
    changed = client.ask("PATCH", f"/v1/endpoints/{segment(endpoint_id)}", body=body)
    if as_json:
        print_json(changed)
    else:
        say_terms(changed)
    _doubt(terms, find_engine)


app.command("add")(composed(add, terms=endpoint_terms, client=notifier, find_engine=later(engine)))
app.command("patch")(composed(patch, terms=endpoint_terms, client=notifier, find_engine=later(engine)))


@app.command()
@asking(notifier)
def rotate(
    endpoint_id: EndpointId,
    *,
    secret: Secret = None,
    signature: Signature = None,
    keep: Annotated[float, typer.Option(help="Seconds for which the old ones sign as well, up to 604800.")] = 86_400,
    expire_now: Annotated[bool, typer.Option("--expire-now", help="End the old ones now, after a leak.")] = False,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Sign with a new secret, and with the old ones for a day more."""
    own = {"secret": secret, "signature": signature}
    body: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    asked = body | {"keep_seconds": 0 if expire_now else keep}
    rotated = client.ask("POST", f"/v1/endpoints/{segment(endpoint_id)}/rotate", body=asked)
    if as_json:
        print_json(rotated)
        return
    say(f"secret  {rotated['secret']}")
    if rotated["public_key"]:
        say(f"public  {rotated['public_key']}")
    for old in rotated["keys"][1:]:
        say(f"the one before it signs until {old['expires_at']}")


@app.command("secret")
@asking(notifier)
def show_secret(endpoint_id: EndpointId, *, client: Client, as_json: AsJson = False) -> None:
    """Show the secrets that sign now, and who has seen them; this look is logged too."""
    shown = client.ask("GET", f"/v1/endpoints/{segment(endpoint_id)}/secret")
    if as_json:
        print_json(shown)
        return
    print_fields(("secret", "public_key", "version", "expires_at"), shown["keys"], empty="no secret")
    for name, value in shown["headers"].items():
        say(f"header {name}: {value}")
    say("")
    print_fields(("at", "action", "key_name", "key_id"), shown["shown"], empty="never shown")


def _doubt(terms: Body, find_engine: FindClient) -> None:
    """The notifier knows no plans, and one may be published later: what is not live is pointed out, not refused."""
    for doubt in unlive_plans(find_engine, terms.get("plans", [])):
        complain(doubt)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise Misused(f"Write --schedule as seconds with commas, such as 5,300,1800; {text!r} is not.") from None


def _window(text: str) -> dict[str, Any]:
    hours, _, rest = text.partition(" ")
    zone, _, days = rest.strip().partition(" ")
    start, dash, end = hours.partition("-")
    if not dash or not zone:
        raise Misused(f"Write --window such as '08:00-18:00 Europe/Berlin mon,tue,wed,thu,fri'; {text!r} is not.")
    window: dict[str, Any] = {"from": start, "until": end, "time_zone": zone}
    return window | ({"days": [day.strip() for day in days.split(",")]} if days.strip() else {})


def _headers(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise Misused("Write --header as 'name: value'.")
        found[name.strip()] = value.strip()
    return found


def _cleared(names: list[str]) -> dict[str, Any]:
    empty: dict[str, Any] = {name: [] for name in ("plans", "segments", "owners", "reasons")}
    empty |= {"rate": None, "schedule": None, "window": None, "headers": {}}
    fields = {"rate": "rate_per_second", "schedule": "retry_schedule_seconds", "window": "delivery_window"}
    unknown = [name for name in names if name not in empty]
    if unknown:
        raise Misused(f"--clear knows {', '.join(empty)}; not {', '.join(unknown)}.")
    return {fields.get(name, name): empty[name] for name in names}
