"""Whose event is it? What an event says about its account, by the order of places that are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.ingest.events import IncomingEvent, Rejected, checked_id
from services.ingest.json_paths import JsonPath, value_at

# What programs send when they do not know the id. One account called "null" would activate for everybody.
_PLACEHOLDERS = frozenset(
    {
        *("", "null", "undefined", "none", "nil", "nan", "0", "-1", "true", "false", "[object object]"),
        *("anonymous", "guest", "id", "email", "distinct_id", "distinctid", "not_authenticated"),
        # All visitors of a page on which PostHog sets no cookies.
        "$posthog_cookieless",
    }
)
# What named an account when the event did not.
BY_USER: Final = "user"
_NAMED_BY_TYPE = ("group", "command")
_GROUPS = ("properties", "$groups")


def is_placeholder(value: str) -> bool:
    """Whether an id stands for "unknown" and would merge strangers."""
    return value in _PLACEHOLDERS or value.strip().lower() in _PLACEHOLDERS


def checked_account(named: str | int) -> str:
    """An account id that is safe to count for; raises Rejected `account_invalid` or `id_too_long`."""
    account_id = named if type(named) is str else str(named)
    if is_placeholder(account_id):
        raise Rejected("account_invalid", f"Send the account's real id; {account_id[:40]!r} means that it is unknown.")
    return checked_id(account_id, "the account id")


class Named(msgspec.Struct, frozen=True, gc=False):
    """An account, and what named it: the record says both."""

    account_id: str
    by: str


class AccountRules:
    """The order of places that may name an event's account; the first that does wins.

    1. what the dialect says first: the `groupId` of a group call, else `context.groupId`, or a command's `account_id`
    2. `properties.$groups[…]` for each of `group_types`
    3. `paths` into the client's object
    4. what the dialect says last: `partitionkey`, then `subject` of a CloudEvent

    Only then the user is asked for, by the caller. A null is no answer; an id that means "unknown" is a wrong one.
    """

    def __init__(self, *, group_types: Sequence[str], paths: Sequence[JsonPath]) -> None:
        places = (*((*_GROUPS, group_type) for group_type in group_types), *paths)
        self._places = tuple((place, ".".join(place)) for place in places)

    def named(self, event: IncomingEvent) -> Named | None:
        """The account that the event itself names; raises Rejected `account_invalid` or `id_too_long`."""
        if event.account_id is not None:
            by = event.type if event.type in _NAMED_BY_TYPE else "context.groupId"
            return Named(checked_account(event.account_id), by)
        if event.document is not None:
            for place, words in self._places:
                found = value_at(event.document, place)
                if _is_id(found):
                    return Named(checked_account(found), words)
        for words, last in event.account_fallbacks:
            if last is not None:
                return Named(checked_account(last), words)
        return None


def _is_id(value: Any) -> bool:
    return type(value) is str or type(value) is int
