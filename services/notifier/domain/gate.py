"""What a batch of attempts changes about the endpoints themselves: who is to be left alone, disabled, or is well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from services.notifier.domain.outcome import Decision, Result, Status

# (endpoint id, the revision of it that was attempted, result, decision)
GateAttempt = tuple[str, int, Result, Decision]


@dataclass(slots=True)
class GateChanges:
    """Changes by endpoint id; `closed_seconds` is the longest pause that any of its answers asked for, `failures` are
    those since its last success, `tripping` are endpoints of whose newest attempts too many failed. `disabled` has the
    endpoint's revision that was attempted: one that was changed since is not what said it is gone. `attempts` are all
    that this was made of."""

    closed_seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    succeeded: set[str] = field(default_factory=set)
    disabled: dict[str, int] = field(default_factory=dict)
    tripping: set[str] = field(default_factory=set)
    attempts: list[GateAttempt] = field(default_factory=list)

    def add(self, attempt: GateAttempt) -> None:
        """Take one attempt into account; what failed on our side says nothing about the endpoint."""
        endpoint_id, revision, result, decision = attempt
        self.attempts.append(attempt)
        if decision.status is Status.SUCCEEDED:
            self.succeeded.add(endpoint_id)
            self.failures.pop(endpoint_id, None)
        elif result is not Result.INTERNAL:
            self.failures[endpoint_id] = self.failures.get(endpoint_id, 0) + 1
        if decision.gate_seconds:
            self.closed_seconds[endpoint_id] = max(self.closed_seconds.get(endpoint_id, 0.0), decision.gate_seconds)
        if decision.disables:
            self.disabled[endpoint_id] = max(self.disabled.get(endpoint_id, 0), revision)

    def since(self, opened: Mapping[str, int]) -> GateChanges:
        """Those by attempts at endpoints as they are since their gates were opened by hand, at the `opened` revisions:
        an attempt at a URL that was replaced while it was on the wire says nothing about the new one."""
        current = [attempt for attempt in self.attempts if attempt[1] >= opened.get(attempt[0], 0)]
        return self if len(current) == len(self.attempts) else replace(gate_changes(current), tripping=self.tripping)


def gate_changes(attempts: Iterable[GateAttempt]) -> GateChanges:
    """The changes of attempts."""
    changes = GateChanges()
    for attempt in attempts:
        changes.add(attempt)
    return changes
