"""The oracle of the tests: the domain's plain fold, under the name that tests know, and fed from a log as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from services.activation_engine.decoder import Poison, TickInput, decode_record
from services.activation_engine.decoder import Record as LogRecord
from services.activation_engine.domain.event import InvalidBody
from services.activation_engine.domain.plain_fold import Oracle, Record, Tick, expected_ids, fold_partition
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.signals import CandidateSignal
from services.activation_engine.plan_adoption import live_plan
from services.activation_engine.plans.registry import RETIRED
from services.activation_engine.store import Adoption

__all__ = ["Oracle", "Record", "Tick", "expected_ids", "fold_log", "fold_partition", "replay"]


def fold_log(
    records: Iterable[LogRecord], adoptions: Iterable[Adoption], plan_of: Callable[[str, int], Plan]
) -> Oracle:
    """The oracle after these records of one partition, with versions live from where the partition adopted them."""
    oracle = Oracle()
    for _ in replay(oracle, records, adoptions, plan_of):
        pass
    return oracle


def replay(
    oracle: Oracle,
    records: Iterable[LogRecord],
    adoptions: Iterable[Adoption],
    plan_of: Callable[[str, int], Plan],
) -> Iterator[tuple[LogRecord, list[CandidateSignal] | None]]:
    """Each record as the oracle takes it, with the signals that it owes; None for one that can never be applied."""
    waiting = sorted(adoptions, key=lambda one: (one.from_offset, one.version))
    live: dict[str, LivePlan] = {}
    for record in records:
        before = dict(live)
        while waiting and waiting[0].from_offset <= record.offset:
            one = waiting.pop(0)
            live.pop(one.plan, None)
            if one.policy != RETIRED:
                live[one.plan] = live_plan(one, plan_of(one.plan, one.version))
        if live != before:
            oracle.take(PlanSet.of(live.values()))
        yield record, _take(oracle, record)


def _take(oracle: Oracle, record: LogRecord) -> list[CandidateSignal] | None:
    given = decode_record(record)
    if isinstance(given, TickInput):
        return oracle.take(Tick(record.timestamp, given.sent_at_ms, given.last_event_at_ms))
    if not isinstance(given, Poison):
        with suppress(InvalidBody):
            return oracle.take(given)
    return None
