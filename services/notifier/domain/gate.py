"""What a batch of attempts changes about the endpoints themselves: who is to be left alone, disabled, or is well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.notifier.domain.outcome import Decision, Result, Status


@dataclass(slots=True)
class GateChanges:
    """Changes by endpoint id; `closed_seconds` is the longest pause that any of its answers asked for, `failures` are
    those since its last success, `tripping` are endpoints of whose newest attempts too many failed. `disabled` has the
    endpoint's revision that was attempted: one that was changed since is not what said it is gone."""

    closed_seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    succeeded: set[str] = field(default_factory=set)
    disabled: dict[str, int] = field(default_factory=dict)
    tripping: set[str] = field(default_factory=set)

    def add(self, endpoint_id: str, revision: int, result: Result, decision: Decision) -> None:
        """Take one attempt into account; what failed on our side says nothing about the endpoint."""
        if decision.status is Status.SUCCEEDED:
            self.succeeded.add(endpoint_id)
            self.failures.pop(endpoint_id, None)
        elif result is not Result.INTERNAL:
            self.failures[endpoint_id] = self.failures.get(endpoint_id, 0) + 1
        if decision.gate_seconds:
            self.closed_seconds[endpoint_id] = max(self.closed_seconds.get(endpoint_id, 0.0), decision.gate_seconds)
        if decision.disables:
            self.disabled[endpoint_id] = max(self.disabled.get(endpoint_id, 0), revision)


def gate_changes(attempts: Iterable[tuple[str, int, Result, Decision]]) -> GateChanges:
    """The changes of attempts, each as (endpoint id, its revision, result, decision)."""
    changes = GateChanges()
    for attempt in attempts:
        changes.add(*attempt)
    return changes
