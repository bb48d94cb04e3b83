"""What erasure does to the rows of PostgreSQL, as a part of a batch's transaction and of a claim."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.erasure import account_hash, pseudonym
from services.activation_engine.store import Commit, Erasure, Notice


def _of_erased(text: str) -> sa.TextClause:
    """`text` with `:erased` standing for the accounts to erase."""
    return sa.text(
        text.replace(
            ":erased",
            "unnest(CAST(:parts AS int[]), CAST(:offsets AS bigint[]), CAST(:accounts AS text[]), "
            "CAST(:hashes AS bytea[]), CAST(:pseudonyms AS text[])) "
            "AS erased (part, at_offset, account_id, account_hash, pseudonym)",
        )
    )


_TOMBSTONES = sa.text("SELECT account_hash, erase_offset FROM activation.tombstone WHERE part = :part")
_NOTICES = sa.text(
    "SELECT part, seq, account_id FROM activation.ledger "
    "WHERE part = :part AND type = 'account.erased' AND payload IS NOT NULL ORDER BY seq"
)
_ERASE_ACCOUNTS = _of_erased(
    "WITH gone AS (DELETE FROM activation.account AS stored USING :erased "
    "WHERE stored.account_id = erased.account_id AND stored.part = erased.part RETURNING stored.account_id) "
    "DELETE FROM activation.account_plan AS stored USING gone WHERE stored.account_id = gone.account_id"
)
# What tells of an erasure is blanked once it is published.
_BLANK_LEDGER = _of_erased(
    "UPDATE activation.ledger AS stored SET payload = NULL, traceparent = NULL, account_id = erased.pseudonym "
    "FROM :erased "
    "WHERE stored.account_id = erased.account_id AND stored.part = erased.part AND stored.type <> 'account.erased'"
)
_KEEP_TOMBSTONES = _of_erased(
    "INSERT INTO activation.tombstone (account_hash, part, erase_offset) "
    "SELECT account_hash, part, at_offset FROM :erased ON CONFLICT (account_hash) "
    "DO UPDATE SET part = excluded.part, erase_offset = excluded.erase_offset, erased_at = now()"
)
# Letters of other partitions are records that should not have come there, whenever that was. Theirs are blanked, for an
# audit has to know their offsets.
_BLANK_FOREIGN_LETTERS = sa.text(
    "UPDATE activation.dead_letter AS letter SET key = NULL, value = NULL "
    "FROM unnest(CAST(:parts AS int[]), CAST(:keys AS bytea[]), CAST(:needles AS bytea[])) "
    "AS erased (part, key, needle) WHERE letter.key = erased.key AND letter.part <> erased.part "
    "AND letter.reason = 'wrong_partition' AND (erased.needle IS NULL OR position(erased.needle IN letter.value) > 0)"
)
_DROP_LETTERS = sa.text(
    "DELETE FROM activation.dead_letter AS letter USING unnest(CAST(:parts AS int[]), CAST(:offsets AS bigint[]), "
    "CAST(:keys AS bytea[]), CAST(:needles AS bytea[])) AS erased (part, at_offset, key, needle) "
    "WHERE letter.key = erased.key AND (letter.part <> erased.part OR letter.offset < erased.at_offset) "
    "AND (erased.needle IS NULL OR position(erased.needle IN letter.value) > 0)"
)
# What an audit found can be found again; its report may quote the state of the account.
_DROP_REPORTS = sa.text(
    "UPDATE activation.job SET result = NULL FROM unnest(CAST(:names AS text[])) AS erased (name) "
    "WHERE position(erased.name IN result::text) > 0"
)
_BLANK_NOTICES = sa.text(
    "UPDATE activation.ledger AS stored SET payload = NULL, account_id = told.account_id "
    "FROM unnest(CAST(:parts AS int[]), CAST(:seqs AS bigint[]), CAST(:accounts AS text[])) "
    "AS told (part, seq, account_id) WHERE stored.part = told.part AND stored.seq = told.seq"
)


async def tombstones(connection: AsyncConnection, part: int) -> dict[bytes, int]:
    """The partition's erased accounts, by hash, with the offset of the command."""
    return {row.account_hash: row.erase_offset for row in await connection.execute(_TOMBSTONES, {"part": part})}


async def notices(connection: AsyncConnection, part: int) -> tuple[Notice, ...]:
    """The partition's signals of erasures that still name their account."""
    return tuple(Notice(*row) for row in await connection.execute(_NOTICES, {"part": part}))


async def erase_accounts(connection: AsyncConnection, erasures: Sequence[Erasure]) -> None:
    """Remove the accounts from what earlier transactions wrote, so this comes before the other rows of this one."""
    arrays: dict[str, list[Any]] = {
        "parts": [one.part for one in erasures],
        "offsets": [one.offset for one in erasures],
        "accounts": [one.account_id for one in erasures],
        "hashes": [account_hash(one.account_id) for one in erasures],
        "pseudonyms": [pseudonym(one.account_id) for one in erasures],
    }
    for statement in (_ERASE_ACCOUNTS, _BLANK_LEDGER, _KEEP_TOMBSTONES):
        await connection.execute(statement, arrays)


async def erase_traces(connection: AsyncConnection, commit: Commit) -> None:
    """Remove erased accounts and people from the dead letters, this transaction's too, from reports of audits, and from
    signals that were published."""
    asked = [(one, needle) for one in (*commit.erasures, *commit.erased_people) for needle in _needles(one.user_id)]
    if asked:
        letters = {
            "parts": [one.part for one, _ in asked],
            "offsets": [one.offset for one, _ in asked],
            "keys": [one.account_id.encode() for one, _ in asked],
            "needles": [needle for _, needle in asked],
        }
        await connection.execute(_BLANK_FOREIGN_LETTERS, {name: letters[name] for name in ("parts", "keys", "needles")})
        await connection.execute(_DROP_LETTERS, letters)
        await connection.execute(_DROP_REPORTS, {"names": [_in_report(one) for one, _ in asked]})
    if commit.announced_erasures:
        told = {
            "parts": [one.part for one in commit.announced_erasures],
            "seqs": [one.seq for one in commit.announced_erasures],
            "accounts": [one.account_id for one in commit.announced_erasures],
        }
        await connection.execute(_BLANK_NOTICES, told)


def _needles(user_id: str | None) -> set[bytes | None]:
    """The spellings of a person's id in JSON; None stands for a whole account."""
    if user_id is None:
        return {None}
    return {user_id.encode(), msgspec.json.encode(user_id)[1:-1], json.dumps(user_id)[1:-1].encode()}


def _in_report(erasure: Erasure) -> str:
    """How a report writes an account's id, or a person's within a quoted state, which is JSON in JSON."""
    if erasure.user_id is None:
        return json.dumps(erasure.account_id)
    return json.dumps(msgspec.json.encode(erasure.user_id).decode()[1:-1])[1:-1]
