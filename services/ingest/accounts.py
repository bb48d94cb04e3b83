"""Whose event is it? The rules that turn what an event says into an account id that is safe to count for."""

from __future__ import annotations

from services.ingest.events import IncomingEvent, Rejected, checked_id

# What programs send when they do not know the id. One account called "null" would activate for everybody.
_PLACEHOLDERS = frozenset(
    {
        *("", "null", "undefined", "none", "nil", "nan", "0", "-1", "true", "false", "[object object]"),
        *("anonymous", "guest", "id", "distinct_id", "distinctid", "not_authenticated"),
    }
)


def is_placeholder(value: str) -> bool:
    """Whether an id stands for "unknown" and would merge strangers."""
    return value in _PLACEHOLDERS or value.strip().lower() in _PLACEHOLDERS


def resolve_account(event: IncomingEvent) -> str:
    """The account that `event` belongs to; raises Rejected `account_missing`, `account_invalid` or `id_too_long`."""
    named = event.account_id
    if named is None:
        raise Rejected(
            "account_missing",
            "Say whose event it is: context.groupId, properties.account_id, or the groupId of a group call.",
        )
    account_id = named if type(named) is str else str(named)
    if is_placeholder(account_id):
        raise Rejected("account_invalid", f"Send the account's real id; {account_id[:40]!r} means that it is unknown.")
    return checked_id(account_id, "the account id")
