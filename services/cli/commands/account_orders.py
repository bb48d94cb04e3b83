"""`firstvalue account set, pause, mark …`: what people say about an account, each verb one command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from services.cli.client import engine, ingest
from services.cli.commands.account_import import import_accounts
from services.cli.commands.accounts import AccountId, app
from services.cli.orders import date_text, gives, order, values_of
from services.cli.output import Misused, Yes, confirm
from services.cli.shared_options import composed, later

Pairs = Annotated[
    list[str],
    typer.Argument(metavar="NAME=VALUE...", help="Traits: a JSON number, true, false, or text; NAME= takes it back."),
]
EventName = Annotated[str, typer.Argument(metavar="EVENT", help="A plan's event name, such as conversation.held.")]
Milestone = Annotated[str, typer.Argument(help="The milestone's id in the plan.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence of at most 200 characters.")]

_WHEN = "A date like 2026-12-01, or a length from now like 14d"


def set_traits(account_id: AccountId, traits: Pairs) -> dict[str, Any]:
    """Set traits; reached.MILESTONE=DATE says when an imported account reached a milestone."""
    return order(
        "set", account_id, traits=values_of(traits, otherwise="no trait: write name=value, or name= to take it back")
    )


def note(
    account_id: AccountId,
    event: EventName,
    *,
    text: Annotated[str | None, typer.Option(help="At most 1000 characters.")] = None,
) -> dict[str, Any]:
    """Note what your own people did or heard; it counts in conditions, never as activity."""
    return order("note", account_id, event=event, text=text)


def pause(
    account_id: AccountId,
    *,
    reason: Reason,
    side: Annotated[Literal["customer", "us"], typer.Option(help="Who asked for it.")],
    until: Annotated[str | None, typer.Option(help=f"{_WHEN}. Default: until resumed.")] = None,
) -> dict[str, Any]:
    """Stop every clock of an account; events still count."""
    return order("pause", account_id, reason=reason, side=side, until=date_text(until))


def resume(account_id: AccountId) -> dict[str, Any]:
    """End a pause."""
    return order("resume", account_id)


def snooze(
    account_id: AccountId,
    kind: Annotated[str, typer.Argument(help="Such as at_risk or stalled, or the id of a risk or opportunity.")],
    *,
    until: Annotated[str, typer.Option(help=f"{_WHEN}; one that has passed lifts the snooze.")],
) -> dict[str, Any]:
    """Mute one kind of signal until a date; the status goes on changing all the same."""
    return order("snooze", account_id, kind=kind, until=date_text(until))


def mark(
    account_id: AccountId,
    milestone: Milestone,
    *,
    at: Annotated[str | None, typer.Option(help="The date on which it was reached. Default: now.")] = None,
) -> dict[str, Any]:
    """Say that a milestone is reached."""
    return order("mark", account_id, milestone=milestone, at=at)


def waive(account_id: AccountId, milestone: Milestone) -> dict[str, Any]:
    """Say that this account does not need a milestone."""
    return order("waive", account_id, milestone=milestone)


def diagnose(
    account_id: AccountId,
    cause: Annotated[Literal["fit", "execution"], typer.Argument(help="Why it does not move.")],
    *,
    action: Annotated[
        Literal["help", "downsize", "pivot", "exit"] | None, typer.Option(help="What is to be done.")
    ] = None,
) -> dict[str, Any]:
    """Say why an account does not move; signals carry it as `likely`, and `account show` shows it."""
    return order("diagnose", account_id, cause=cause, action=action)


def move(
    account_id: AccountId,
    plan: Annotated[str | None, typer.Argument(help="The plan's id.")] = None,
    *,
    back: Annotated[bool, typer.Option("--back", help="Let the plans' own applies_to decide again.")] = False,
) -> dict[str, Any]:
    """Put an account under one plan, whatever the plans' applies_to say."""
    if back == (plan is not None):
        raise Misused("Name the plan to move the account to, or give it back to the plans' applies_to with --back.")
    return order("move", account_id, plan=plan)


def close(account_id: AccountId, *, reason: Reason) -> dict[str, Any]:
    """Stop watching an account that has left."""
    return order("close", account_id, reason=reason)


def reopen(account_id: AccountId) -> dict[str, Any]:
    """Watch a closed account again; what it reached stays reached."""
    return order("reopen", account_id)


def erase(account_id: AccountId, *, yes: Yes = False) -> dict[str, Any]:
    """Forget an account for good; needs an admin key."""
    confirm(f"Erase account {account_id}? All that is known about it is deleted.", yes=yes)
    return order("erase", account_id)


def erase_person(
    account_id: AccountId,
    user_id: Annotated[str, typer.Argument(help="The person's id, as the product sends it.")],
    *,
    yes: Yes = False,
) -> dict[str, Any]:
    """Forget one person of an account for good; needs an admin key."""
    confirm(f"Erase {user_id} from account {account_id}? All that is known about this person is deleted.", yes=yes)
    return order("erase_person", account_id, user_id=user_id)


_VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "set": set_traits,
    "note": note,
    "pause": pause,
    "resume": resume,
    "snooze": snooze,
    "mark": mark,
    "waive": waive,
    "diagnose": diagnose,
    "move": move,
    "close": close,
    "reopen": reopen,
    "erase": erase,
    "erase-person": erase_person,
}

app.command("import")(composed(import_accounts, find_ingest=later(ingest), find_engine=later(engine)))
for _name, _verb in _VERBS.items():
    app.command(_name)(gives(_verb))
