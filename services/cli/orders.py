"""Gives one command about an account to ingest, waits until the engine has applied it, and prints what now is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from schemas.plan_measures import duration_ms
from schemas.timestamps import to_milliseconds, to_rfc3339
from services.cli import client
from services.cli.account_views import diagnosis_text
from services.cli.client import Client, FindClient, segment
from services.cli.live_plans import unknown_milestones
from services.cli.order_checks import check, check_with, no_dates, waived_by
from services.cli.output import AsJson, Misused, Refused, can_ask, complain, confirm, print_answer
from services.cli.shared_options import composed, later
from services.runtime import strict_json
from services.runtime.strict_json import InvalidJson

# Each wait of the engine is 5 s.
_WAITS_MAX = 6
# Traits of these and a milestone date it, or waive it.
_OF_MILESTONES = ("reached", "waived")

New = Annotated[bool, typer.Option("--new", help="The account may be one that nobody has seen yet: do not ask.")]
NoWait = Annotated[
    bool,
    typer.Option("--no-wait", help="Ask no engine: neither check it against the plans nor wait until it is applied."),
]


def order(name: str, account_id: str, **fields: Any) -> dict[str, Any]:
    """The command `name` as ingest takes it."""
    return {"command": name, "account_id": account_id, **fields}


def gives(verb: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """What the command line runs for a `verb` that makes an order of its arguments."""
    run = composed(give, command=verb, ingest=client.ingest, find_engine=later(client.engine))
    run.__doc__ = verb.__doc__
    return run


def give(
    command: dict[str, Any],
    *,
    new: New = False,
    no_wait: NoWait = False,
    ingest: Client,
    find_engine: FindClient,
    as_json: AsJson = False,
) -> None:
    """Post the command; print the account's status under each plan once it is applied. An account that nobody has seen
    is pointed out first, as it may be a misspelt one; `set` is meant to begin some. Raises Refused, Unreachable."""
    check(command, datetime.now(UTC))
    # Found before anything is changed, so that an address that is missing changes nothing.
    engine = None if no_wait else find_engine()
    if engine is not None:
        begins = new or command["command"] == "set"
        check_with(engine, command, None if begins else _look_for(engine, command))
    taken = ingest.ask("POST", "/v1/commands", body=command)
    if engine is None:
        answer, text = taken, f"{command['account_id']}: {command['command']} is on its way"
    else:
        try:
            account = _applied(engine, command, taken["position"])
        except KeyboardInterrupt:
            complain(_not_yet(command))
            raise
        answer, text = {**taken, "account": account}, _standing(command, account)
        plans = [] if account is None else account["plans"]
        for doubt in (*doubts(command, plans), *no_dates(engine, command, plans)):
            complain(doubt)
    print_answer(answer, text, as_json=as_json)


def _look_for(engine: Client, command: dict[str, Any]) -> dict[str, Any] | None:
    """The account; one that the engine does not know is asked about, or without a terminal told, and None."""
    account_id = command["account_id"]
    try:
        account: dict[str, Any] = engine.ask("GET", f"/v1/accounts/{segment(account_id)}")
    except Refused as refused:
        if refused.code != "account_unknown":
            raise
        unseen = f"Nobody has ever seen an account {account_id}"
        if can_ask():
            confirm(f"{unseen}. Is it spelt right, and is the {command['command']} to begin it?", yes=False)
        else:
            complain(
                f"{unseen}, so this begins it. If it is misspelt, `firstvalue account erase {account_id}` undoes that."
            )
        return None
    return account


def doubts(command: dict[str, Any], plans: list[dict[str, Any]]) -> Iterator[str]:
    """What of an applied command changes nothing under these plans of the account, perhaps for a misspelt name."""
    milestones = {one["id"]: one for plan in plans for one in plan["milestones"]}
    yield from unknown_milestones(_milestones_of(command), milestones, whose=f" of {command['account_id']}")
    waived = set(waived_by(command))
    for plan in plans:
        for one in plan["milestones"] if waived else ():
            if one["id"] in waived and one["required"]:
                yield f"{one['id']} stays required under {plan['plan']}: its first value cannot be waived."


def _milestones_of(command: dict[str, Any]) -> Iterator[str]:
    """The milestones that a command names: itself, or by the traits that date or waive them."""
    if "milestone" in command:
        yield command["milestone"]
    for trait, value in command.get("traits", {}).items():
        prefix, dot, milestone = trait.partition(".")
        if prefix in _OF_MILESTONES and dot and value is not None:
            yield milestone


def values_of(pairs: list[str], *, otherwise: str) -> dict[str, Any]:
    """Values by name of `name=value` texts, where a value is a JSON scalar or else a text, and none is null.

    Raises Misused, with what is said `otherwise`, for a text without name or sign.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not (name and sign):
            raise Misused(f"{pair} is {otherwise}.")
        values[name] = _scalar(text)
    return values


def date_text(text: str | None) -> str | None:
    """The instant that lies a duration such as `14d` ahead; any other text as it is, for ingest to judge."""
    if text is None:
        return None
    try:
        ahead_ms = duration_ms(text)
    except ValueError:
        return text
    return to_rfc3339(to_milliseconds(datetime.now(UTC).replace(microsecond=0)) + ahead_ms)


def _scalar(text: str) -> Any:
    if not text:
        return None
    try:
        value = strict_json.decode(text.encode())
    except InvalidJson:
        return text
    return text if isinstance(value, list | dict) else value


def _applied(engine: Client, command: dict[str, Any], position: str) -> dict[str, Any] | None:
    """The account once the engine is past `position`; None when it is erased."""
    account_id = command["account_id"]
    for _ in range(_WAITS_MAX):
        try:
            account: dict[str, Any] = engine.ask(
                "GET", f"/v1/accounts/{segment(account_id)}", parameters={"after": position}
            )
        except Refused as refused:
            if refused.code == "account_unknown" and command["command"] == "erase":
                return None
            if refused.code != "not_yet_applied":
                raise
        else:
            return account
    raise Refused(_not_yet(command))


def _not_yet(command: dict[str, Any]) -> str:
    return (
        f"The {command['command']} of {command['account_id']} is accepted and will not be lost, but the engine has not "
        "applied it yet: `firstvalue ops partitions` shows how far it is."
    )


def _standing(command: dict[str, Any], account: dict[str, Any] | None) -> str:
    account_id = command["account_id"]
    if account is None:
        return f"{account_id}: erased"
    if command["command"] == "erase_person":
        return f"{account_id}: nothing names {command['user_id']} any more"
    standings = map(_status, account["plans"])
    return f"{account_id}: {'; '.join([*_done(command), *standings]) or 'no plan applies'}"


def _done(command: dict[str, Any]) -> Iterator[str]:
    """What was done, where the status does not show it."""
    match command["command"]:
        case "diagnose":
            yield diagnosis_text(command)
        case "snooze":
            yield f"{command['kind']} snoozed until {command['until']}"
        case "note":
            yield f"{command['event']} noted"
        case "mark":
            yield f"{command['milestone']} marked as reached"
        case "waive":
            yield f"{command['milestone']} waived"


def _status(plan: dict[str, Any]) -> str:
    reason = f" ({plan['reason']})" if plan["reason"] else ""
    return f"{plan['status']}{reason} under {plan['plan']}"
