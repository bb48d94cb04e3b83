"""The resolver: single writer of each partition of the directory; what it decides is produced first, then written.

A crash between the two repeats a batch, whose events carry the same ids. An owner of before may produce again as well;
it can write nothing, because each transaction begins with the stamp of its claim.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import structlog

from schemas.product_event import VERSION
from schemas.unresolved_event import UnresolvedEvent, decode_unresolved_event
from services.ingest.delivery import RECORD_BYTES_MAX, Record
from services.ingest.directory.decisions import AMBIGUOUS, EXPIRED, Arrived, Decision, Refused, decide, resolve
from services.ingest.directory.store import Claim, DirectoryStore, ParkedEvent
from services.ingest.metrics import IngestMetrics
from services.ingest.people import StaffRule
from services.ingest.publisher import Publisher
from services.runtime.crash_points import crash_point

log = structlog.get_logger(__name__)

_PAGE_EVENTS = 200
# An index takes no row of 2.7 KB, in which two ids stand. Ingest writes less: at most 255 characters of four bytes.
_TEXT_BYTES_MAX = 1_020
_DEAD_LETTER_BYTES_MAX = 131_072
# Less than the least that `inflight_bytes_max` may be.
_PORTION_BYTES_MAX = 4_194_304


class Poison(NamedTuple):
    """A record that no resolver of this version can read."""

    record: Any
    message: str


class ResolverRules(NamedTuple):
    """Names and limits: `waiting_max` events of one user wait for `waiting_age` at most."""

    events_topic: str
    dead_topic: str
    place: Callable[[str], tuple[bytes, int]]
    waiting_max: int
    waiting_age: timedelta


class Resolver:
    """Applies records of the unresolved topic, partition by partition.

    Raises BrokerUnavailable, Overloaded, Superseded, SQLAlchemyError and OSError; after any of them the partition has
    to be claimed again, and goes on from where it was written to be. `beat` is called while there is work.
    """

    def __init__(
        self,
        *,
        store: DirectoryStore,
        publisher: Publisher,
        staff: StaffRule,
        metrics: IngestMetrics,
        rules: ResolverRules,
        beat: Callable[[], None],
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._staff = staff
        self._metrics = metrics
        self._rules = rules
        self._beat = beat

    async def apply(self, claim: Claim, records: Sequence[Any]) -> Claim:
        """Decide records in the order of the log; the claim with its place after them."""
        run: list[Arrived] = []
        dead: list[Poison] = []
        for record in records:
            try:
                event = _read(record)
            except ValueError as error:
                dead.append(Poison(record, str(error)))
                continue
            if event.type == "command":
                claim = await self._decide(claim, run, dead, next_offset=record.offset)
                run, dead = [], []
                claim = await self._forget(claim, event, next_offset=record.offset + 1)
            else:
                run.append(Arrived(event, record.value, record.offset))
        return await self._decide(claim, run, dead, next_offset=records[-1].offset + 1)

    async def release(self, claim: Claim, users: Collection[str] | None = None) -> None:
        """Send on what waits although its user is known by now: of the whole partition, or of `users`."""
        while page := await self._store.releasable(claim.partition, most=_PAGE_EVENTS, users=users):
            known = await self._store.find({one.user_id for one in page})
            decision = Decision()
            for one in page:
                event, person = decode_unresolved_event(one.value), known.get(one.user_id)
                if person is not None and person.ambiguous:
                    decision.refused.append(Refused(event, *AMBIGUOUS))
                elif person is not None and person.account is not None:
                    decision.resolved.append(resolve(event, person, self._staff))
            await self._end_wait(claim, page, decision)

    async def expire(self, claim: Claim) -> None:
        """Put aside what has waited too long, and count what waits."""
        while page := await self._store.expired(claim.partition, age=self._rules.waiting_age, most=_PAGE_EVENTS):
            refused = [Refused(decode_unresolved_event(one.value), *EXPIRED) for one in page]
            await self._end_wait(claim, page, Decision(refused=refused))
        self._metrics.parked.labels(str(claim.partition)).set(await self._store.waiting(claim.partition))

    async def _decide(self, claim: Claim, run: list[Arrived], dead: list[Poison], *, next_offset: int) -> Claim:
        if next_offset == claim.next_offset:
            return claim
        users = {str(one.event.user_id) for one in run}
        known = await self._store.find(users) if users else {}
        unknown = {user for user in users if user not in known or not known[user].accounts}
        ids = {one.event.message_id for one in run if one.event.user_id in unknown}
        waiting = await self._store.waiting_of(unknown, ids) if unknown else {}
        decision = decide(run, known=known, waiting=waiting, waiting_max=self._rules.waiting_max, staff=self._staff)
        await self._produce(decision, dead)
        crash_point("ingest.resolver_produced")
        claim = await self._store.apply(claim, next_offset=next_offset, people=decision.people, parked=decision.parked)
        crash_point("ingest.resolver_written")
        self._metrics.resolved.labels("parked", "").inc(len(decision.parked))
        # Of people whom earlier batches taught nothing waits; the next claim makes up for a release that failed.
        if found := [user for user, person in decision.people.items() if person.accounts]:
            await self.release(claim, found)
        return claim

    async def _forget(self, claim: Claim, event: UnresolvedEvent, *, next_offset: int) -> Claim:
        self._beat()
        if event.event == "erase_person" and event.user_id is not None:
            return await self._store.forget_person(claim, event.user_id, next_offset=next_offset)
        return await self._store.forget_account(claim, str(event.account_id), next_offset=next_offset)

    async def _end_wait(self, claim: Claim, page: list[ParkedEvent], decision: Decision) -> None:
        await self._produce(decision, [])
        crash_point("ingest.resolver_released")
        await self._store.remove(claim, page)
        # Many pages may follow; requests have their turn.
        await asyncio.sleep(0)

    async def _produce(self, decision: Decision, dead: list[Poison]) -> None:
        self._beat()
        rules, produced = self._rules, list[tuple[str, Record]]()
        for account_id, value in decision.resolved:
            key, partition = rules.place(account_id)
            produced.append((rules.events_topic, Record(partition, key, value)))
        for event, code, message in decision.refused:
            key, partition = rules.place(str(event.user_id))
            headers = _headers(event.source, code, message)
            produced.append((rules.dead_topic, Record(partition, key, bytes(event.body), headers)))
        for record, message in dead:
            value = (record.value or b"")[:_DEAD_LETTER_BYTES_MAX]
            headers = _headers("", "record_invalid", message, record)
            key = record.key and record.key[:_TEXT_BYTES_MAX]
            produced.append((rules.dead_topic, Record(record.partition, key, value, headers)))
        for portion in _portions(produced):
            await self._publisher.put(portion).wait()
        self._count(decision, len(dead))

    def _count(self, decision: Decision, poison: int) -> None:
        self._metrics.resolved.labels("resolved", "").inc(len(decision.resolved))
        for refused in decision.refused:
            self._metrics.resolved.labels("dead", refused.code).inc()
        if poison:
            self._metrics.resolved.labels("dead", "record_invalid").inc(poison)


def _portions(produced: Iterable[tuple[str, Record]]) -> Iterator[Mapping[str, Sequence[Record]]]:
    """The records by topic, so many at a time as are held in any case: two hundred of the greatest are never."""
    portion: defaultdict[str, list[Record]] = defaultdict(list)
    size_bytes = 0
    for topic, record in produced:
        portion[topic].append(record)
        size_bytes += len(record.value)
        if size_bytes > _PORTION_BYTES_MAX:
            yield portion
            portion, size_bytes = defaultdict(list), 0
    if portion:
        yield portion


def _read(record: Any) -> UnresolvedEvent:
    """The event of a record; raises ValueError with what is wrong."""
    if record.value is None:
        raise ValueError("a record without a value")
    if len(record.value) > RECORD_BYTES_MAX:
        raise ValueError(f"a record of more than {RECORD_BYTES_MAX} bytes")
    try:
        event = decode_unresolved_event(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)[:200]) from error
    if event.v != VERSION:
        raise ValueError(f"version {event.v} is not known here")
    erases_account = event.type == "command" and event.account_id is not None
    if event.user_id is None and not erases_account:
        raise ValueError("neither a user nor an erased account")
    _check_storable(event)
    return event


def _check_storable(event: UnresolvedEvent) -> None:
    """Raises ValueError for what PostgreSQL cannot hold, now or ever: retrying it would stop the partition."""
    for text in (event.user_id, event.account_id, event.message_id, event.role, event.email):
        if text is not None and ("\0" in text or len(text.encode()) > _TEXT_BYTES_MAX):
            raise ValueError(f"an id or a trait with a NUL character or of more than {_TEXT_BYTES_MAX} bytes")
    if event.occurred_at.tzinfo is None:
        raise ValueError("a time without its zone")


def _headers(source: str, code: str, message: str, record: Any = None) -> list[tuple[str, bytes]]:
    facts = {"reason": code, "message": message, "source": source, "route": "resolver"}
    if record is not None:
        facts |= {"topic": record.topic, "partition": str(record.partition), "offset": str(record.offset)}
    return [(name, value.encode()) for name, value in facts.items()]
