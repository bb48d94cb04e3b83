"""The demo's proof passes when all is well, and fails on each promise that is broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.demo.proof import Observed, prove, subscribes
from tests.unit.demo.observations import OUTAGE, STALLED, STARTED, a_signal, all_is_well, an_arrival, but


def test_nothing_fails_when_all_is_well() -> None:
    """Retries and history that nobody asked for are no failure; the counts are what was seen."""
    proof = prove(all_is_well())
    assert proof.failures == []
    assert (proof.sent_events, proof.sent_records, proof.owed_signals, proof.owed_deliveries) == (2, 4, 3, 3)
    assert (proof.delivered, proof.requests, proof.refused_by_receivers) == (3, 4, 1)
    assert proof.latency(50) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("observed", "complaint"),
    [
        (but(upload_errors=["[Segment] 503"]), "the SDK gave up 1 uploads: [Segment] 503"),
        (but(in_topic={"m1": 1}), "1 events that were sent are not in the topic"),
        (but(owed={}), "nothing was proved"),
        (but(arrivals=all_is_well().arrivals[:3]), "1 deliveries are lost: two to billing"),
        (but(arrivals=all_is_well().arrivals[:2]), "2 deliveries are lost"),
        (but(owed={"one": STARTED}, owed_later={"one": STARTED}), "1 stalls were announced"),
        (but(owed={"one": STARTED}, owed_later={"one": STARTED}), "2 deliveries are owed by nothing"),
        (but(arrivals=(*all_is_well().arrivals, an_arrival("desk", None, status=401))), "failed the signature check"),
        (but(outage=replace(OUTAGE, back_at_seconds=None)), "did not come back"),
        (but(outage=replace(OUTAGE, pid_after=11)), "was not killed"),
        (but(owed_later={**all_is_well().owed, "two": STALLED | {"sequence": 9}}), "1 signals differ"),
    ],
)
def test_broken_promise_fails_the_proof(observed: Observed, complaint: str) -> None:
    """Each kind of loss, excess or change is named."""
    assert any(complaint in failure for failure in prove(observed).failures)


def test_signal_owed_only_by_the_second_fold_is_neither_lost_nor_unfounded() -> None:
    """Ticks go on while the demo counts: what they add may have arrived or not."""
    new = a_signal("new", "account.at_risk")
    owed_later = {**all_is_well().owed, "new": new}
    assert prove(but(owed_later=owed_later)).failures == []
    arrivals = (*all_is_well().arrivals, an_arrival("desk", new))
    assert prove(but(owed_later=owed_later, arrivals=arrivals)).failures == []


def test_second_success_is_counted_but_allowed() -> None:
    """Delivery is at least once: a repeat under the same id is shown, not a failure."""
    proof = prove(but(arrivals=(*all_is_well().arrivals, an_arrival("billing", STALLED, attempt=2))))
    assert proof.doubled == {("billing", "two")}
    assert proof.failures == []


def test_outage_is_not_counted_as_latency() -> None:
    """What ingest took while the engine was dead waits for the engine, which says nothing about its speed."""
    assert prove(but(received_at_seconds={"one": 103.0})).latency_milliseconds == ()


def test_type_filters_match_exactly_or_by_prefix() -> None:
    """`account.*` means every type below it."""
    assert subscribes(("account.*",), "account.stalled")
    assert subscribes(("account.stalled",), "account.stalled")
    assert not subscribes(("account.stalled", "endpoint.*"), "account.at_risk")
