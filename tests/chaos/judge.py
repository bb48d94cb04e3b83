"""The end of a chaos run: what was sent, applied, announced and delivered, compared with a plain fold of the log."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from typing import Any

from msgspec import json as msgspec_json

from schemas.topics import DEAD_EVENTS
from services.activation_engine.domain.signals import ERASED, to_payload
from tests.chaos.observer import Observer
from tests.chaos.product import Ledger
from tests.chaos.sink import Sink
from tests.chaos.violation import require
from tests.fakes.engine_comparison import check_account, check_topic
from tests.fakes.engine_room import EngineRoom

Records = dict[int, list[Any]]


async def judge(room: EngineRoom, *, ledger: Ledger, sink: Sink, observer: Observer, poison: int) -> dict[str, int]:
    """Raises Violation or AssertionError; the figures of a run that is right. The log must be at rest and applied."""
    events, signals = await room.records(room.events_topic), await room.records(room.signals_topic)
    waiting = {row["message_id"] for row in await room.database.fetch("SELECT message_id FROM ingest.parked_event")}
    by_user = _check_log(ledger, events, waiting)
    await _check_rejected(room, ledger)
    counts = await _check_counts(room, events, poison)
    rows: list[Any] = []
    for part in range(room.parts):
        rows += await _check_partition(room, part, events[part], signals[part], may_be_erased=ledger.erased)
    ids = [str(row["id"]) for row in rows]
    blank = {str(row["id"]) for row in rows if row["payload"] is None}
    # What tells of an erasure is blank too, but only after everybody got it.
    erased = blank - {str(row["id"]) for row in rows if row["type"] == ERASED}
    _check_same(observer.followed, ids, blank, "in the feed")
    await _check_delivered(room, sink, ids, erased)
    figures = {"signals": len(ids), "blanked": len(erased), "attempts": sink.attempts, "looks": observer.looks}
    return {**counts, "by_user": by_user, **figures}


def _check_log(ledger: Ledger, events: Records, waiting: Set[str]) -> int:
    """200 means that Kafka has it, as it was sent, or that it waits for the account of its user; nothing is there that
    nobody sent. The number of those whose account was found by their user."""
    found: dict[str, tuple[str, str]] = {}
    by_user = 0
    for record in (one for records in events.values() for one in records if one.key not in (None, b"poison")):
        value = json.loads(record.value)
        found[value["message_id"]] = value["account_id"], value.get("event") or ""
        by_user += value.get("resolved_by") == "user"
    # What waits for an account is gone with it.
    owed = {id_ for id_, sent in ledger.sent.items() if sent.named or sent.account_id not in ledger.erased}
    lost = {id_ for id_ in owed - found.keys() - waiting if ledger.sent[id_].acked}
    require(not lost, "acknowledged and lost:", sorted(lost)[:10])
    require(found.keys() <= ledger.sent.keys(), "sent by nobody:", sorted(found.keys() - ledger.sent.keys())[:10])
    for message_id, (account, name) in found.items():
        sent = ledger.sent[message_id]
        require((account, name) == (sent.account_id, sent.name), "changed on the way:", message_id, account, name)
    return by_user


async def _check_rejected(room: EngineRoom, ledger: Ledger) -> None:
    """What a 200 called rejected is on the dead topic."""
    dead = await room.records(DEAD_EVENTS.named(room.prefix))
    text = b"\n".join(record.value or b"" for records in dead.values() for record in records)
    missing = {message_id for message_id in ledger.rejected if message_id.encode() not in text}
    require(not missing, "rejected and not kept:", sorted(missing)[:10])


async def _check_counts(room: EngineRoom, events: Records, poison: int) -> dict[str, int]:
    """Every record with a key was applied, changed nothing, or is a dead letter: each once."""
    counts: Counter[str] = Counter()
    for row in await room.database.fetch("SELECT counts FROM activation.partition_lease"):
        counts.update(json.loads(row["counts"]))
    keyed = sum(record.key is not None for records in events.values() for record in records)
    outcomes = {name: counts[name] for name in ("applied", "unchanged", "dead_lettered")}
    require(sum(outcomes.values()) == keyed, "records and outcomes differ:", keyed, outcomes)
    letters = await room.database.fetchval("SELECT count(*) FROM activation.dead_letter")
    require(letters == poison == outcomes["dead_lettered"], "dead letters:", letters, poison, outcomes)
    return {"events": keyed, **outcomes}


async def _check_partition(
    room: EngineRoom, part: int, events: Sequence[Any], signals: Sequence[Any], *, may_be_erased: Set[str]
) -> list[Any]:
    """Ledger, accounts and signals topic of a partition; the rows of its ledger. Between two accounts that one tick
    moves no order is owed."""
    lease = await room.database.fetchrow("SELECT * FROM activation.partition_lease WHERE part = $1", part)
    assert lease is not None
    oracle = await room.owed(part, events)
    rows = await room.database.fetch("SELECT * FROM activation.ledger WHERE part = $1 ORDER BY seq", part)
    require([row["seq"] for row in rows] == list(range(1, lease["out_seq"] + 1)), "the ledger has gaps:", part)
    blank = {str(row["id"]) for row in rows if row["payload"] is None}
    found, owed = defaultdict(list), defaultdict(list)
    for row in rows:
        if row["payload"] is not None:
            found[row["account_id"]].append((str(row["id"]), row["payload"]))
    for signal in oracle.signals:
        if signal.id in blank:
            require(signal.account_id in may_be_erased, "erased by nobody:", signal.account_id)
        else:
            owed[signal.account_id].append((signal.id, msgspec_json.encode(to_payload(signal))))
    for account in found.keys() | owed.keys():
        require(found[account] == owed[account], "signals differ:", account, found[account], "owed:", owed[account])
    require(blank <= {signal.id for signal in oracle.signals}, "blank signals that nobody owed:", part)
    stored = await room.database.fetch("SELECT * FROM activation.account WHERE part = $1", part)
    require({row["account_id"] for row in stored} == oracle.accounts.keys(), "accounts differ:", part)
    for row in stored:
        check_account(oracle, row)
    check_topic(signals, rows, lease["published_seq"])
    return list(rows)


async def _check_delivered(room: EngineRoom, sink: Sink, ids: Sequence[str], erased: Set[str]) -> None:
    """Each signal is one delivery, succeeded, answered 2xx at least once under one id; nothing else arrived. What was
    erased before it was sent is cancelled."""
    rows = await room.database.fetch("SELECT message_id, status FROM notifier.delivery")
    wrong = [dict(row) for row in rows if row["status"] != "succeeded" and row["message_id"] not in erased]
    require(not wrong, "deliveries that did not succeed:", wrong[:5])
    _check_same([row["message_id"] for row in rows], ids, erased, "to be delivered")
    sink.check()
    untaken = [one for one in ids if not sink.taken[one] and one not in erased]
    require(not untaken, "recorded as delivered, never answered 2xx:", untaken[:10])
    _check_same(list(sink.bodies), ids, erased, "at the sink")


def _check_same(found: Sequence[str], ids: Sequence[str], erased: Set[str], where: str) -> None:
    """Each once, though what was erased may be missing."""
    more, less = Counter(found) - Counter(ids), set(ids) - set(found) - erased
    told = f"{sum(more.values())} more {list(more)[:5]}, {len(less)} fewer {list(less)[:5]}"
    require(not more and not less, f"other signals {where} than in the ledger:", told)
