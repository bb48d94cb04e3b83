"""Do events arrive, is it known whose they are, and are they taken?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.cli.doctor.findings import Finding, fine, problem
from services.cli.doctor.look import Look
from services.cli.output import counted

# What happened before is history; what is wrong now shows within a day.
_RECENT = timedelta(hours=24)
_SHOWN_MAX = 5
_SET_ACCOUNT = (
    "send the account with each event as context.groupId, or call group(user, account) once for each person: then the "
    "events of that person that wait are counted too"
)


def events_arrive(look: Look) -> Iterator[Finding]:
    """At least one, ever."""
    accepted, names = look.answers.get("accepted"), look.answers.get("names")
    if accepted:
        newest = accepted[0]
        yield fine("events", f"the newest accepted is `{newest['event'] or newest['type']}`, at {newest['at'][:19]}Z")
    elif accepted is not None and not names and "engine" not in look.slow:
        yield problem(
            "events",
            "no event was ever accepted",
            "send one: `firstvalue event send 'Report Generated' --account acme --user kim`; if your product sends "
            "already, compare its address and key with `firstvalue status --env` and `firstvalue doctor --write-key`",
        )


def accounts_are_known(look: Look) -> Iterator[Finding]:
    """Of events that were taken but belong to nobody yet."""
    rows = _recent(look, "unresolved")
    rows = rows and [row for row in rows if row["waiting"] is not False]
    if rows:
        yield problem(
            "unresolved",
            f"{counted(len(rows), 'event')} of the last day without a known account: {_frequent(rows, 'event')}",
            _SET_ACCOUNT,
        )
    elif rows is not None:
        yield fine("unresolved", "every event of the last day has its account")


def events_are_taken(look: Look) -> Iterator[Finding]:
    """Of events that were refused, by cause: what to do about one is not what to do about another."""
    rows = _recent(look, "dead")
    if rows is None:
        return
    causes = Counter((row["reason"], row["message"]) for row in rows)
    for (reason, told), count in causes.most_common(_SHOWN_MAX):
        same = [row for row in rows if (row["reason"], row["message"]) == (reason, told)]
        do = _SET_ACCOUNT if reason == "account_missing" else str(told or "see `firstvalue event tail`")
        message = f"{counted(count, 'refused event')} of the last day, {reason}: {_frequent(same, 'event')}"
        yield problem("dead", message, f"{do} (`firstvalue event tail --status dead` shows them)")
    if len(causes) > _SHOWN_MAX:
        message = f"refused events of {counted(len(causes) - _SHOWN_MAX, 'more cause')}"
        yield problem("dead", message, "`firstvalue event tail --status dead` shows them")
    if not rows:
        yield fine("dead", "no event of the last day was refused")


def records_are_applied(look: Look) -> Iterator[Finding]:
    """Of records that the engine could not read."""
    rows = [row for row in look.answers.get("dead_letters") or () if row.get("requeued_at") is None]
    if rows:
        yield problem(
            "dead_letters",
            f"the engine refused {len(rows)} of the records that it read: {_frequent(rows, 'reason')}",
            "`firstvalue ops dead-letters` shows them, `firstvalue ops requeue` sends one again once the cause is gone",
        )


def _recent(look: Look, status: str) -> list[dict[str, Any]] | None:
    """The newest of the last day, of the page that was asked for."""
    rows = look.answers.get(status)
    return None if rows is None else [row for row in rows if look.now - _moment(row["at"]) < _RECENT]


def _frequent(rows: Sequence[dict[str, Any]], field: str) -> str:
    counted = Counter(str(row.get(field) or row.get("type") or "without a name") for row in rows)
    return ", ".join(f"{name} ({count})" for name, count in counted.most_common(_SHOWN_MAX))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
