"""One polled batch of signals becomes one transaction: messages, what is owed, positions, poison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import structlog

from services.notifier.backlog import Backlog
from services.notifier.domain.digests import held_back
from services.notifier.domain.endpoint_limit import ENDPOINTS_MAX
from services.notifier.domain.sequence import Arrival, Progress, observe
from services.notifier.domain.slack import slack_body
from services.notifier.metrics import NotifierMetrics
from services.notifier.reading import ledger_of, read_record, sequence_of
from services.notifier.store.intake import IntakeBatch, IntakeStore, Message, Owed, Poison, Position, Subscriber

log = structlog.get_logger(__name__)

RECORDS_MAX = 2_000
# Deliveries that a batch may owe, were every endpoint to want every signal of it: it is one transaction, of statements
# with a time limit, and what it tried and could not write would be tried again for ever.
OWED_MAX = 50_000


@dataclass(slots=True)
class _Read:
    messages: list[Message] = field(default_factory=list)
    poison: list[Poison] = field(default_factory=list)
    after: dict[int, Position] = field(default_factory=dict)
    repeats: int = 0
    gaps: list[tuple[int, int, int]] = field(default_factory=list)
    begun: list[tuple[int, int | None]] = field(default_factory=list)


class BatchWriter:
    """Commits batches and, only after that, counts and announces what they held."""

    def __init__(
        self, *, store: IntakeStore, backlog: Backlog, metrics: NotifierMetrics, on_committed: Callable[[], None]
    ) -> None:
        self._store = store
        self._backlog = backlog
        self._metrics = metrics
        self._on_committed = on_committed
        self._missing: dict[int, int] = {}
        self._endpoints = ENDPOINTS_MAX

    @property
    def records_max(self) -> int:
        """How many records the next batch may have; few until the number of endpoints is known."""
        return max(1, min(RECORDS_MAX, OWED_MAX // max(1, self._endpoints)))

    async def write(self, before: Mapping[int, Position], batch: Mapping[int, Sequence[Any]]) -> dict[int, Position]:
        """Commit `batch` (records by partition, in order) and return the new positions.

        Raises PositionLost when another process has moved a position, and database errors.
        """
        read = _read(before, batch)
        async with self._store.batch() as transaction:
            await transaction.advance(before, read.after)
            new = await transaction.add_messages(read.messages) if read.messages else set()
            subscribers = await transaction.subscribers()
            self._endpoints = len(subscribers)
            owed = self._owed((each for each in read.messages if each.id in new), subscribers)
            owed = await _with_digests(transaction, owed)
            if owed:
                await transaction.add_slack_bodies(_for_slack(owed))
                await transaction.add_deliveries(owed)
            full = {each.endpoint_id for each in owed if each.hold == "backlog"}
            if full:
                await transaction.tell_of_full_backlogs(full, waiting_max=self._backlog.waiting_max)
            await transaction.add_dead_letters(read.poison)
        self._account(read, new=len(new), owed=owed)
        if owed:
            self._on_committed()
        return read.after

    def watch_gaps(self, owned: Mapping[int, Position]) -> None:
        """Show the gaps of the partitions that this process reads, and of no others."""
        self._missing = {part: position.progress.missing for part, position in owned.items()}
        self._metrics.sequence_missing.set(sum(self._missing.values()))

    def _owed(self, messages: Iterable[Message], subscribers: Sequence[Subscriber]) -> list[Owed]:
        room = {each.id: self._backlog.room(each.id) for each in subscribers}
        owed = []
        seen: set[str] = set()
        for message in messages:
            if message.id in seen:
                continue
            seen.add(message.id)
            for each in subscribers:
                if each.filter.wants(message.type, message.origin, message.about):
                    hold = "disabled" if not each.enabled else None if room[each.id] > 0 else "backlog"
                    room[each.id] -= hold is None
                    owed.append(Owed(message, each.id, hold, slack=each.format == "slack"))
        return owed

    def _account(self, read: _Read, *, new: int, owed: Sequence[Owed]) -> None:
        self._metrics.intake_signals.labels("new").inc(new)
        self._metrics.intake_signals.labels("repeat").inc(len(read.messages) - new)
        self._metrics.sequence_repeats.inc(read.repeats)
        for part, ledger_ms in read.begun:
            log.warning("ledger_began", partition=part, ledger_ms=ledger_ms)
        for part, first, last in read.gaps:
            log.error("sequence_gap", partition=part, missing_from=first, missing_to=last)
        self.watch_gaps_of(read.after)
        for poison in read.poison:
            self._metrics.dead_letters.labels(poison.reason).inc()
            log.error("signal_unreadable", partition=poison.part, offset=poison.record_offset, reason=poison.reason)
        held = 0
        for delivery in owed:
            if delivery.hold is None:
                self._backlog.add(delivery.endpoint_id, 1)
            else:
                held += delivery.hold == "backlog"
                self._metrics.held_total.labels(delivery.hold).inc()
        if held:
            log.warning("backlog_full", held=held, waiting_max=self._backlog.waiting_max)

    def watch_gaps_of(self, moved: Mapping[int, Position]) -> None:
        """Update the alarm after some partitions moved."""
        self._missing.update({part: position.progress.missing for part, position in moved.items()})
        self._metrics.sequence_missing.set(sum(self._missing.values()))


async def _with_digests(transaction: IntakeBatch, owed: list[Owed]) -> list[Owed]:
    """The same, holding back for a digest what is too much of one type for one channel."""
    counts = Counter((each.endpoint_id, each.message.type) for each in owed if each.slack and each.hold is None)
    if not counts:
        return owed
    before = await transaction.counted_before(counts)
    single = {key: count - held_back(before=before[key], count=count) for key, count in counts.items()}
    result = []
    for each in owed:
        key = (each.endpoint_id, each.message.type)
        if each.slack and each.hold is None:
            single[key] -= 1
            result.append(each if single[key] >= 0 else replace(each, hold="digest"))
        else:
            result.append(each)
    return result


def _for_slack(owed: Iterable[Owed]) -> dict[str, bytes]:
    """Bodies by message id, each made once however many channels get it."""
    bodies = {each.message.id: each.message.body for each in owed if each.slack}
    return {id_: slack_body(msgspec.json.decode(body)) for id_, body in bodies.items()}


def _read(before: Mapping[int, Position], batch: Mapping[int, Sequence[Any]]) -> _Read:
    read = _Read()
    for part, records in batch.items():
        progress = before[part].progress
        for record in records:
            progress = _follow(read, part, progress, record)
            content = read_record(record)
            if isinstance(content, Message):
                read.messages.append(content)
            elif content is not None:
                read.poison.append(content)
        read.after[part] = Position(records[-1].offset + 1, progress)
    return read


def _follow(read: _Read, part: int, progress: Progress, record: Any) -> Progress:
    number = sequence_of(record)
    if number is None:
        return progress
    after, arrival = observe(progress, number, ledger_of(record))
    if arrival is Arrival.GAP:
        read.gaps.append((part, after.gaps[-1][0], after.gaps[-1][1]))
    elif arrival is Arrival.OTHER_LEDGER:
        read.begun.append((part, after.ledger_ms))
    read.repeats += arrival is Arrival.REPEAT
    return after
