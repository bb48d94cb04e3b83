"""What came of an audit, partition by partition, as the job's result in JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.activation_engine.domain.instants import rfc3339_or_none
from services.activation_engine.operations.audit.differences import Differences

LISTED_MAX = 200


@dataclass(slots=True)
class AuditedPartition:
    """What came of one partition. `audited` of its `accounts` were compared with the log: all of them, those that
    enrolled after `since_ms` when the log was cut, or none when `incomplete` says why it could not be folded."""

    part: int
    next_offset: int
    differences: Differences
    accounts: int = 0
    audited: int = 0
    signals: int = 0
    since_ms: int | None = None
    incomplete: str | None = None

    @property
    def state(self) -> str:
        """In a word."""
        if self.incomplete is not None:
            return "log_incomplete"
        return "compared" if self.since_ms is None else "compared_since"


def audit_result(checked: Sequence[AuditedPartition]) -> dict[str, Any]:
    """The result of all partitions."""
    counts = Counter(where.kind for one in checked for where in one.differences)
    listed = [
        {
            "partition": one.part,
            "account": where.account or None,
            "kind": where.kind,
            "subject": where.subject or None,
            "expected": what.expected,
            "found": what.found,
        }
        for one in checked
        for where, what in one.differences.items()
    ]
    return {
        "differences": sum(counts.values()),
        "counts": dict(counts),
        "listed": listed[:LISTED_MAX],
        "complete": all(one.state == "compared" for one in checked),
        "audited": sum(one.audited for one in checked),
        "not_audited": sum(one.accounts - one.audited for one in checked),
        "partitions": [_partition_result(one) for one in checked],
    }


def _partition_result(one: AuditedPartition) -> dict[str, Any]:
    return {
        "partition": one.part,
        "state": one.state,
        "why": one.incomplete,
        "since": rfc3339_or_none(one.since_ms),
        "next_offset": one.next_offset,
        "accounts": one.accounts,
        "audited": one.audited,
        "not_audited": one.accounts - one.audited,
        "signals": one.signals,
        "differences": len(one.differences),
    }
