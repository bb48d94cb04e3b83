"""One endpoint's claimed deliveries in a process: by priority, with what is on the wire and how it has been going."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from services.notifier.domain.concurrency import SLOW_SECONDS, Concurrency
from services.notifier.domain.outcome import Priority, Result
from services.notifier.recipients import Unsendable
from services.notifier.sender.request import Recipient
from services.notifier.store.queue import CLAIM_MAX, Claimed

# One that is under way: two of the same delivery are, when its lease ended before its attempt and it was claimed again.
Delivering = asyncio.Task[Result | None]


@dataclass(slots=True)
class Lane:
    """A permit is held for a whole attempt, from the look-up of the name until the outcome is handed in, but by nothing
    that waits; `started` has the times of those under way, oldest first. `share` is how many may be claimed at once; a
    `hungry` lane asks for more at half of it. `waiting_bytes` are those of the bodies that wait."""

    recipient: Recipient | Unsendable
    concurrency: Concurrency
    waiting: tuple[deque[Claimed], ...] = field(default_factory=lambda: tuple(deque() for _ in Priority))
    started: dict[Delivering, float] = field(default_factory=dict)
    hungry: bool = False
    share: int = CLAIM_MAX
    waiting_bytes: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.waiting))

    @property
    def priority(self) -> int:
        """Of the delivery that would be next."""
        return next(priority for priority, queue in enumerate(self.waiting) if queue)

    @property
    def may_start(self) -> bool:
        """Whether something waits and the endpoint can take it."""
        allowed = min(int(self.concurrency.limit), self.recipient.concurrency_max)
        return len(self.started) < allowed and any(self.waiting)

    def troubled(self, now: float) -> bool:
        """Whether the endpoint fails, is slow, or has kept a request for so long that it must be."""
        oldest = next(iter(self.started.values()), now)
        return self.concurrency.troubled or now - oldest > SLOW_SECONDS

    def add(self, claim: Claimed) -> None:
        """Queue it behind those of its priority."""
        self.waiting[claim.priority].append(claim)
        self.waiting_bytes += len(claim.body)

    def take(self) -> Claimed:
        """The next one."""
        claim = self.waiting[self.priority].popleft()
        self.waiting_bytes -= len(claim.body)
        return claim

    def take_all(self) -> list[Claimed]:
        """Everything that waits."""
        taken = [claim for queue in self.waiting for claim in queue]
        for queue in self.waiting:
            queue.clear()
        self.waiting_bytes = 0
        return taken
