"""What is known about one person, and how it is learned: the same function for the hot path and for the resolver."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

# Who was seen in more accounts than this is ambiguous for good in any case.
_ACCOUNTS_MAX: Final = 16


class Person(msgspec.Struct, frozen=True, gc=False):
    """`accounts` are those that the person was seen in, in the order of first sight; two or more are ambiguous."""

    accounts: tuple[str, ...] = ()
    role: str | None = None
    role_at: datetime | None = None
    email: str | None = None
    email_at: datetime | None = None

    @property
    def account(self) -> str | None:
        """The account, if there is exactly one."""
        return self.accounts[0] if len(self.accounts) == 1 else None

    @property
    def ambiguous(self) -> bool:
        """Seen in several accounts: whose event it is must never be guessed."""
        return len(self.accounts) > 1


NOBODY: Final = Person()


class Lesson(msgspec.Struct, frozen=True, gc=False):
    """What one event says about its person: only group calls teach an account, only identify calls traits."""

    type: str
    account_id: str | None
    role: str | None
    email: str | None
    occurred_at: datetime


def taught(person: Person, lesson: Lesson) -> Person:
    """`person` after a lesson; the same object if it says nothing new.

    An event of a person who is known in another account makes the person ambiguous, whatever the event's type. Of two
    values of a trait the one that was said later is kept, so that repeats and old events change nothing.
    """
    changes: dict[str, object] = {}
    account_id, accounts = lesson.account_id, person.accounts
    # Before all else: nearly every event is of a person in the account that is known.
    if (
        account_id is not None
        and account_id not in accounts
        and (accounts or lesson.type == "group")
        and len(accounts) < _ACCOUNTS_MAX
    ):
        changes["accounts"] = (*accounts, account_id)
    if lesson.type == "identify":
        at = lesson.occurred_at
        if lesson.role is not None and lesson.role != person.role and _is_news(at, person.role_at):
            changes.update(role=lesson.role, role_at=at)
        if lesson.email is not None and lesson.email != person.email and _is_news(at, person.email_at):
            changes.update(email=lesson.email, email_at=at)
    return msgspec.structs.replace(person, **changes) if changes else person


def _is_news(at: datetime, known_at: datetime | None) -> bool:
    return known_at is None or at >= known_at
