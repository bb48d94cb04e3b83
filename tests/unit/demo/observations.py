"""Made-up observations of a demo, for tests of what is concluded from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploy.demo.proof import Observed, Outage
from deploy.demo.receivers import Arrival

SUBSCRIPTIONS = {"desk": ("account.*",), "billing": ("account.first_value_reached", "account.stalled")}
OUTAGE = Outage(killed_at_seconds=100.0, back_at_seconds=107.0, pid_before=11, pid_after=12)


def a_signal(signal_id: str, type_: str, *, origin: str = "live", sequence: int = 1) -> dict[str, Any]:
    """The payload of a signal about the account `acme`."""
    return {
        "id": signal_id,
        "type": type_,
        "timestamp": "2026-11-20T10:00:00Z",
        "summary": "Acme stalled: First output is overdue.",
        "account": {"id": "acme", "name": "Acme"},
        "milestone": None,
        "status": {"from": "on_track", "to": "stalled"},
        "next": "Generate a report.",
        "reason": None,
        "evidence": {"rule": "first_output due week 4", "measured": 0, "threshold": 1},
        "origin": origin,
        "late": False,
        "sequence": sequence,
    }


def an_arrival(
    receiver: str, signal: dict[str, Any] | None, *, status: int = 200, attempt: int = 1, at_seconds: float = 50.0
) -> Arrival:
    """A request at a receiver; without a signal it was forged."""
    return Arrival(
        receiver=receiver,
        webhook_id=signal["id"] if signal else "forged",
        arrived_at_seconds=at_seconds,
        status=status,
        attempt=attempt,
        signal=signal,
    )


STARTED = a_signal("one", "account.activation_started")
STALLED = a_signal("two", "account.stalled", sequence=2)
HISTORY = a_signal("old", "account.milestone_reached", origin="catch_up", sequence=3)


def all_is_well() -> Observed:
    """Three signals owed, one of them history that nobody asked for; three deliveries made, one after a 500."""
    owed = {signal["id"]: signal for signal in (STARTED, STALLED, HISTORY)}
    return Observed(
        sent={"m1": 1, "m2": 3},
        late=1,
        upload_errors=(),
        in_topic={"m1": 1, "m2": 3},
        ticks=10,
        owed=owed,
        owed_later=owed,
        received_at_seconds={"one": 49.9},
        subscriptions=SUBSCRIPTIONS,
        arrivals=(
            an_arrival("desk", STARTED),
            an_arrival("desk", STALLED, status=500),
            an_arrival("desk", STALLED, attempt=2),
            an_arrival("billing", STALLED),
        ),
        outage=OUTAGE,
    )


def but(**changes: Any) -> Observed:
    """`all_is_well` with some of it different."""
    return replace(all_is_well(), **changes)
