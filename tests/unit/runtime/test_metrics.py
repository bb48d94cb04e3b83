"""Instruments count as those of the library do."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from services.runtime.metrics import Instruments

BUCKETS = (0.1, 1, 10)


def test_instruments_export_what_those_of_the_library_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """They leave out its locks and checks: bounds belong to their buckets, and what is beyond all is in +Inf."""
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    make = Instruments(ours)
    pairs = (
        (make.counter("c", "C.", reason=("a", "b")), Counter("c", "C.", ["reason"], registry=theirs)),
        (
            make.histogram("h", "H.", BUCKETS, reason=("a", "b")),
            Histogram("h", "H.", ["reason"], buckets=BUCKETS, registry=theirs),
        ),
    )
    for counter in (one.labels(reason) for one in pairs[0] for reason in "ab"):
        counter.inc()
        counter.inc(2.5)
    for histogram in (one.labels(reason) for one in pairs[1] for reason in "ab"):
        for amount in (-5, 0, 0.1, 0.2, 1, 10, 10.1, 1e9):
            histogram.observe(amount)
        histogram.observe(5, {"trace_id": "ab"})
    assert generate_openmetrics(ours) == generate_openmetrics(theirs)  # type: ignore[no-untyped-call]
    assert generate_latest(ours) == generate_latest(theirs)
