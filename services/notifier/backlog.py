"""How much waits for each endpoint, known well enough to cap it without counting on every batch."""

from __future__ import annotations

from collections.abc import Mapping


class Backlog:
    """Counted every few seconds, added to in between; so the cap may be passed by what two replicas add meanwhile."""

    def __init__(self, *, waiting_max: int) -> None:
        self.waiting_max = waiting_max
        self._waiting: dict[str, int] = {}

    def replace(self, waiting: Mapping[str, int]) -> None:
        """Take over a fresh count by endpoint."""
        self._waiting = dict(waiting)

    def room(self, endpoint_id: str) -> int:
        """How many more deliveries may wait for the endpoint."""
        return max(self.waiting_max - self._waiting.get(endpoint_id, 0), 0)

    def add(self, endpoint_id: str, count: int) -> None:
        """Note committed deliveries."""
        self._waiting[endpoint_id] = self._waiting.get(endpoint_id, 0) + count
