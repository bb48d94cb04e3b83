"""What is kept of an erased account: ids, states and times of its deliveries, and a hash. Bodies and answers go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from msgspec.json import encode
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.erasure import account_hash, pseudonym
from services.notifier.store.digests import forget_in_digests

ERASED = "account.erased"

# A repeat of what tells of an erasure finds its tombstone and erases nothing: the account may have come back.
_BURY = sa.text(
    """INSERT INTO notifier.tombstone AS known (account_hash, seq)
    SELECT * FROM unnest(CAST(:hashes AS bytea[]), CAST(:seqs AS bigint[]))
    ON CONFLICT (account_hash) DO UPDATE SET seq = excluded.seq, erased_at = now() WHERE known.seq < excluded.seq
    RETURNING account_hash"""
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
    """An account to forget, from all signals numbered below `seq`."""

    account_id: str
    seq: int


async def erase(connection: AsyncConnection, erasures: Sequence[Erasure]) -> None:
    """Forget the accounts in what is stored; this comes before the messages of the same transaction."""
    newest = {one.account_id: one.seq for one in sorted(erasures, key=lambda one: one.seq)}
    hashes = {account_hash(account_id): account_id for account_id in newest}
    asked = {"hashes": list(hashes), "seqs": list(newest.values())}
    accounts = [hashes[one] for one in (await connection.execute(_BURY, asked)).scalars()]
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
