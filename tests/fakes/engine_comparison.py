"""What an engine stored and published, compared with a plain fold of the same log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import decode
from services.activation_engine.domain.plain_fold import Oracle


def check_account(oracle: Oracle, row: Any) -> None:
    """The stored account stands where the fold's stands: milestones, status, number of signals, first record."""
    wanted, found = oracle.accounts[row["account_id"]], decode(row["account_id"], row["facts"])
    assert _standing(wanted) == _standing(found), f"accounts differ: {row['account_id']}"


def _standing(state: AccountState) -> object:
    plans = {plan: (known.version, known.status, known.reached) for plan, known in state.plans.items()}
    return plans, state.sequence, state.enrolled_at_ms


def check_topic(records: Sequence[Any], ledger: Sequence[Any], published_seq: int) -> None:
    """Repeats are allowed on the topic; nothing is missing, out of place or different. What was erased may have been
    published before."""
    first_times: dict[int, Any] = {}
    for record in records:
        seq = int(dict(record.headers)["seq"])
        assert seq <= len(first_times) + 1, "a signal overtook an earlier one"
        first_times.setdefault(seq, record)
    assert len(first_times) >= published_seq
    for seq, record in first_times.items():
        if ledger[seq - 1]["payload"] is None:
            continue
        assert record.value == ledger[seq - 1]["payload"]
        assert record.key.decode() == ledger[seq - 1]["account_id"]
