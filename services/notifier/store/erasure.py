"""What is kept of an erased account: ids, states and times of its deliveries, and a hash. Bodies and answers go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from msgspec.json import encode
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.erasure import account_hash, pseudonym
from services.notifier.store.digests import forget_in_digests

ERASED = "account.erased"

# A repeat of what tells of an erasure finds its tombstone and erases nothing: the account may have come back.
_BURY = sa.text(
    """INSERT INTO notifier.tombstone AS known (account_hash, seq, notice)
    SELECT * FROM unnest(CAST(:hashes AS bytea[]), CAST(:seqs AS bigint[]), CAST(:notices AS text[]))
    ON CONFLICT (account_hash) DO UPDATE SET seq = excluded.seq, notice = excluded.notice, erased_at = now()
        WHERE known.seq < excluded.seq AND known.notice IS DISTINCT FROM excluded.notice
    RETURNING account_hash"""
)
# The same erasure under another number: the ledger was restored, and counts otherwise since. Its numbers hold.
_RENUMBER = sa.text(
    """UPDATE notifier.tombstone known SET seq = told.seq
    FROM unnest(CAST(:hashes AS bytea[]), CAST(:seqs AS bigint[]), CAST(:notices AS text[]))
        AS told(account_hash, seq, notice)
    WHERE known.account_hash = told.account_hash AND known.notice = told.notice AND known.seq <> told.seq"""
)
_BLANK_MESSAGES = sa.text(
    """UPDATE notifier.message m SET body = '', slack_body = NULL, traceparent = NULL, account_id = given.pseudonym
    FROM unnest(CAST(:accounts AS text[]), CAST(:pseudonyms AS text[])) AS given(account_id, pseudonym)
    WHERE m.account_id = given.account_id RETURNING m.id"""
)
# What is on the wire as well: its outcome comes late then, and a late outcome's answer is not kept.
_CANCEL = sa.text(
    """UPDATE notifier.delivery SET status = 'cancelled', hold_reason = NULL, next_at = NULL, lease_until = NULL
    WHERE message_id = ANY(CAST(:ids AS text[])) AND status IN ('pending', 'leased', 'held')"""
)
_FORGET_ANSWERS = sa.text(
    """UPDATE notifier.attempt a SET response = NULL, error = NULL FROM notifier.delivery d
    WHERE d.message_id = ANY(CAST(:ids AS text[])) AND a.delivery_id = d.id
    AND (a.response IS NOT NULL OR a.error IS NOT NULL)"""
)
_DROP_LETTERS = sa.text(
    """DELETE FROM notifier.dead_letter letter USING unnest(CAST(:needles AS bytea[])) AS needle
    WHERE position(needle IN letter.value) > 0"""
)
_BLANK_NOTICES = sa.text(
    """UPDATE notifier.message m SET body = '', slack_body = NULL, traceparent = NULL
    WHERE m.type = 'account.erased' AND m.body <> '' AND NOT EXISTS (
        SELECT 1 FROM notifier.delivery d
        WHERE d.message_id = m.id AND d.status IN ('pending', 'leased', 'held'))
    RETURNING m.id"""
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """An account to forget, from all signals numbered below `seq`; `notice` is the id of the signal that tells it."""

    account_id: str
    seq: int
    notice: str


async def erase(connection: AsyncConnection, erasures: Sequence[Erasure]) -> None:
    """Forget the accounts in what is stored; this comes before the messages of the same transaction. `erasures` are in
    the order of the topic."""
    hashes = {account_hash(one.account_id): one.account_id for one in erasures}
    buried = await connection.execute(_BURY, _columns(sorted(erasures, key=lambda one: one.seq)))
    accounts = [hashes[one] for one in buried.scalars()]
    await connection.execute(_RENUMBER, _columns(erasures))
    if accounts:
        given = {"accounts": accounts, "pseudonyms": [pseudonym(one) for one in accounts]}
        ids = list((await connection.execute(_BLANK_MESSAGES, given)).scalars())
        # Deliveries before attempts: an outcome that is being recorded is waited for, and its answer found.
        await connection.execute(_CANCEL, {"ids": ids})
        digests = await forget_in_digests(connection, ids)
        await connection.execute(_FORGET_ANSWERS, {"ids": [*ids, *digests]})
        await connection.execute(_DROP_LETTERS, {"needles": [b'"id":' + encode(one) for one in accounts]})


async def blank_notices(connection: AsyncConnection) -> int:
    """What told of an erasure names the account itself: blank it once nobody is owed it any more; returns how many."""
    ids = list((await connection.execute(_BLANK_NOTICES)).scalars())
    if ids:
        await connection.execute(_FORGET_ANSWERS, {"ids": ids})
    return len(ids)


def _columns(erasures: Sequence[Erasure]) -> dict[str, list[Any]]:
    """The last of each account."""
    last = {account_hash(one.account_id): one for one in erasures}
    return {
        "hashes": list(last),
        "seqs": [one.seq for one in last.values()],
        "notices": [one.notice for one in last.values()],
    }
