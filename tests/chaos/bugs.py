"""Bugs to plant into a service's process: `python -m tests.chaos.bugs <bug> serve` runs the bug's service with it.

Nothing of a service is imported before the bug is there, or modules would keep what it replaces.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Asks an engine without its compare-and-set to stop itself (SIGSTOP) just before it commits.
STOP_IN_COMMIT = signal.SIGUSR1


def _acknowledge_before_kafka() -> None:
    from services.ingest.intake import Intake

    class Hasty:
        """A publisher whose deliveries are not waited for; only requests have it, the resolver goes on waiting."""

        def __init__(self, publisher: Any) -> None:
            self._publisher = publisher

        def put(self, records: Any) -> Hasty:
            self._publisher.put(records)
            return self

        async def wait(self) -> None:
            """Nobody waits."""

    make = Intake.__init__

    def made(self: Intake, *, publisher: Any, **given: Any) -> None:
        hasty: Any = Hasty(publisher)
        make(self, publisher=hasty, **given)

    Intake.__init__ = made  # type: ignore[method-assign]
    Intake._position = lambda self, delivery: "nowhere"  # type: ignore[method-assign]


def _let_nothing_wait() -> None:
    from services.ingest.directory.store import DirectoryStore

    apply = DirectoryStore.apply

    async def applied(self: DirectoryStore, claim: Any, **given: Any) -> Any:
        return await apply(self, claim, **{**given, "parked": ()})

    DirectoryStore.apply = applied  # type: ignore[method-assign]


def _count_what_was_resent() -> None:
    from services.activation_engine.domain import trackers

    fresh = itertools.count()
    trackers.id64 = lambda message_id: next(fresh)


def _skip_the_compare_and_set() -> None:
    from services.activation_engine import statements
    from services.activation_engine.postgres_store import PostgresStore

    at_once = PostgresStore.commit
    asked: list[int] = []
    signal.signal(STOP_IN_COMMIT, lambda number, _: asked.append(number))

    async def stopped(self: PostgresStore, commit: Any) -> None:
        # Late on purpose, as a zombie is. Signals would meet those of the other engine and be refused by their numbers.
        if asked and not (commit.ledger or commit.dead_letters or commit.adoptions):
            asked.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        await at_once(self, commit)

    PostgresStore.commit = stopped  # type: ignore[method-assign]
    guard = " AND lease.stamp = new.known"
    assert guard in statements.COMPARE_AND_SET.text
    statements.COMPARE_AND_SET.text = statements.COMPARE_AND_SET.text.replace(guard, "")


def _take_any_answer_as_delivered() -> None:
    from services.notifier.domain import outcome

    outcome.result_of = lambda status_code: outcome.Result.HTTP_2XX


def _claim_nothing_after_a_pause() -> None:
    from services.notifier.store.queue import QueueStore

    claim = QueueStore.claim
    paused: list[int] = []
    signal.signal(signal.SIGCONT, lambda number, _: paused.append(number))

    async def claimed(self: QueueStore, *given: Any, **more: Any) -> Any:
        # What is due is left to the other notifier: no delivery is late, and no heartbeat is missed.
        return [] if paused else await claim(self, *given, **more)

    QueueStore.claim = claimed  # type: ignore[method-assign]


@dataclass(frozen=True)
class Bug:
    """What is planted where, the faults under which it has to show, and words of violations that tell of it."""

    kind: str
    plant: Callable[[], None]
    faults: tuple[str, ...]
    told: tuple[str, ...]


BUGS = {
    "ingest acknowledges before Kafka does": Bug(
        "ingest", _acknowledge_before_kafka, ("kill ingests that wait for the broker",), ("acknowledged and lost",)
    ),
    "ingest drops what waits for its account": Bug(
        "ingest", _let_nothing_wait, ("kill ingest",), ("acknowledged and lost",)
    ),
    "engine counts what was resent": Bug("engine", _count_what_was_resent, ("kill engine",), ("signals differ",)),
    "engine skips the compare-and-set": Bug(
        "engine", _skip_the_compare_and_set, ("stop engine in its commit",), ("went backwards",)
    ),
    "notifier takes any answer as delivered": Bug(
        "notifier", _take_any_answer_as_delivered, ("kill notifier",), ("never answered 2xx",)
    ),
    "notifier claims nothing after a pause": Bug(
        "notifier", _claim_nothing_after_a_pause, ("pause notifier2",), ("dispatcher of notifier2 stood",)
    ),
}


def serve_with(bug: Bug, arguments: list[str]) -> int:
    """Plant the bug before the service's modules are imported, then run it."""
    bug.plant()
    if bug.kind == "ingest":
        from services.ingest.__main__ import main
    elif bug.kind == "engine":
        from services.activation_engine.__main__ import main
    else:
        from services.notifier.__main__ import main
    return main(arguments)


if __name__ == "__main__":
    sys.exit(serve_with(BUGS[sys.argv[1]], sys.argv[2:]))
