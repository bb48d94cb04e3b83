"""The demo's proof: what was sent, what the topic owes by a plain fold, and what arrived, compared."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.demo.receivers import Arrival

Delivery = tuple[str, str]  # receiver, webhook-id

# What a delivered signal must have in common with the one that the fold minted under the same id.
_SAME = ("type", "timestamp", "sequence", "milestone", "status", "reason", "origin", "late")


@dataclass(frozen=True, kw_only=True)
class Outage:
    """The kill of the engine: seconds of Unix time, and the process ids before and after.

    `back_at_seconds` is when the first webhook about something later than the kill arrived; None: none did.
    """

    killed_at_seconds: float
    back_at_seconds: float | None
    pid_before: int
    pid_after: int | None

    @property
    def lasted_seconds(self) -> float | None:
        """From the kill to the first webhook about what came after it."""
        return None if self.back_at_seconds is None else self.back_at_seconds - self.killed_at_seconds


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything the demo saw.

    `sent` and `in_topic` count records by message id; `owed` and `owed_later` map signal ids to payloads, folded before
    and after the arrivals were counted; `received_at_seconds` is when ingest took the record that caused a signal.
    """

    sent: Mapping[str, int]
    late: int
    upload_errors: Sequence[str]
    in_topic: Mapping[str, int]
    ticks: int
    owed: Mapping[str, Mapping[str, Any]]
    owed_later: Mapping[str, Mapping[str, Any]]
    received_at_seconds: Mapping[str, float]
    subscriptions: Mapping[str, Sequence[str]]
    arrivals: Sequence[Arrival]
    outage: Outage


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The comparison; `failures` is empty when everything that was promised was kept."""

    sent_events: int
    sent_records: int
    late_events: int
    upload_errors: tuple[str, ...]
    topic_records: int
    ticks: int
    missing_events: int
    owed_signals: int
    owed_deliveries: int
    delivered: int
    requests: int
    refused_by_receivers: int
    forged: int
    lost: frozenset[Delivery]
    extra: frozenset[Delivery]
    doubled: frozenset[Delivery]
    unlike: frozenset[str]
    false_stalls: int
    outage: Outage
    latency_milliseconds: tuple[float, ...]

    @property
    def failures(self) -> list[str]:
        """Each broken promise in a sentence."""
        checks = [
            (
                self.upload_errors,
                f"the SDK gave up {len(self.upload_errors)} uploads: {', '.join(self.upload_errors[:1])}",
            ),
            (self.missing_events, f"{self.missing_events} events that were sent are not in the topic"),
            (not self.owed_signals, "the topic owes no signal at all: nothing was proved"),
            (self.lost, f"{len(self.lost)} deliveries are lost: {_some(self.lost)}"),
            (self.extra, f"{len(self.extra)} deliveries are owed by nothing in the topic: {_some(self.extra)}"),
            (self.unlike, f"{len(self.unlike)} signals differ from the fold's: {', '.join(sorted(self.unlike)[:3])}"),
            (self.false_stalls, f"{self.false_stalls} stalls were announced that the topic does not contain"),
            (self.forged, f"{self.forged} requests failed the signature check"),
            (self.outage.back_at_seconds is None, "the engine did not come back after kill -9"),
            (self.outage.pid_after == self.outage.pid_before, "the engine was not killed"),
        ]
        return [sentence for failed, sentence in checks if failed]

    def latency(self, percent: int) -> float:
        """Milliseconds from ingest to the webhook's arrival at this percentile; 0 when nothing was measured."""
        values = self.latency_milliseconds
        return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else sum(values)


def prove(observed: Observed) -> Proof:
    """Compares what was owed with what arrived."""
    delivered = Counter((a.receiver, a.webhook_id) for a in observed.arrivals if a.is_delivery)
    owed = owed_deliveries(observed.owed, observed.subscriptions)
    allowed = owed_deliveries(observed.owed_later, observed.subscriptions)
    extra = frozenset(delivered) - allowed
    by_id = {a.webhook_id: a.signal for a in observed.arrivals if a.signal is not None}
    return Proof(
        sent_events=len(observed.sent),
        sent_records=sum(observed.sent.values()),
        late_events=observed.late,
        upload_errors=tuple(observed.upload_errors),
        topic_records=sum(observed.in_topic.values()),
        ticks=observed.ticks,
        missing_events=len(observed.sent.keys() - observed.in_topic.keys()),
        owed_signals=len(observed.owed),
        owed_deliveries=len(owed),
        delivered=len(delivered.keys() & owed),
        requests=len(observed.arrivals),
        refused_by_receivers=sum(a.signal is not None and not a.is_delivery for a in observed.arrivals),
        forged=sum(a.signal is None for a in observed.arrivals),
        lost=owed - delivered.keys(),
        extra=extra,
        doubled=frozenset(delivery for delivery, times in delivered.items() if times > 1),
        unlike=frozenset(
            signal_id for signal_id, signal in by_id.items() if _differs(signal, observed.owed_later.get(signal_id))
        ),
        false_stalls=sum(_is_stall(by_id[signal_id]) for signal_id in {signal_id for _, signal_id in extra}),
        outage=observed.outage,
        latency_milliseconds=tuple(_latencies(observed)),
    )


def subscribes(types: Sequence[str], type_: str) -> bool:
    """Whether an endpoint with these type filters wants a signal of this type."""
    return any(type_ == wanted or (wanted.endswith(".*") and type_.startswith(wanted[:-1])) for wanted in types)


def owed_deliveries(
    owed: Mapping[str, Mapping[str, Any]], subscriptions: Mapping[str, Sequence[str]]
) -> frozenset[Delivery]:
    """What each receiver must get: endpoints that ask for nothing else get only what happens now."""
    return frozenset(
        (receiver, signal_id)
        for signal_id, signal in owed.items()
        for receiver, types in subscriptions.items()
        if signal["origin"] == "live" and subscribes(types, signal["type"])
    )


def _latencies(observed: Observed) -> Iterable[float]:
    """Milliseconds of every first attempt outside the outage for a signal that a product event caused."""
    outage = observed.outage
    for arrival in observed.arrivals:
        received = observed.received_at_seconds.get(arrival.webhook_id)
        if received is None or arrival.attempt > 1:
            continue
        during = outage.killed_at_seconds - 0.5 <= received <= (outage.back_at_seconds or float("inf"))
        if not during:
            yield (arrival.arrived_at_seconds - received) * 1000


def _differs(signal: Mapping[str, Any], folded: Mapping[str, Any] | None) -> bool:
    if folded is None:
        return False  # counted as extra
    return (
        any(signal.get(key) != folded.get(key) for key in _SAME) or signal["account"]["id"] != folded["account"]["id"]
    )


def _is_stall(signal: Mapping[str, Any]) -> bool:
    return bool(signal["type"] == "account.stalled")


def _some(deliveries: Iterable[Delivery]) -> str:
    return ", ".join(f"{signal_id} to {receiver}" for receiver, signal_id in sorted(deliveries)[:3])
