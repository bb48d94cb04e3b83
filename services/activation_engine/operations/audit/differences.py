"""Stored accounts compared with folded ones: what differs, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from services.activation_engine.domain.account import AccountState, PlanState
from services.activation_engine.domain.encoding import UnknownEncoding, decode, encode
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.rows import PlanRow, active_days, last_event, plan_rows
from services.activation_engine.operations.audit.snapshot import StoredRow

# Of an expected or found value, as JSON, so much is shown.
VALUE_CHARACTERS_MAX = 500


class Place(NamedTuple):
    """Where a difference is; `subject` is a part of the state, a column, a plan or a signal."""

    account: str
    kind: str
    subject: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What the log says should be there, and what is; as JSON, cut to VALUE_CHARACTERS_MAX."""

    expected: str | None
    found: str | None


Differences = dict[Place, Difference]


def difference(expected: object, found: object) -> Difference:
    """Of any two values that JSON can write; None is nothing at all."""
    return Difference(_shown(expected), _shown(found))


def compare_account(account_id: str, state: AccountState | None, row: StoredRow | None, newest: PlanSet) -> Differences:
    """One account as folded, and as stored; None where there is none. Its rows are by the plans that it was last
    brought up to: the `newest`, unless a sweep has not come to it."""
    if row is None:
        return {Place(account_id, "account_missing", ""): difference(None if state is None else _parts(state), None)}
    if state is None:
        return {Place(account_id, "account_unexpected", ""): difference(None, {"name": row.name, "owner": row.owner})}
    written = encode(state)
    try:
        stored = state if written == row.facts else decode(account_id, row.facts)
    except UnknownEncoding as error:
        return {Place(account_id, "state", "encoding"): difference("a readable state", str(error))}
    found: Differences = {}
    if stored is not state:
        # Through the encoding, so that both are made of the same types; the order of keys in it says nothing.
        found = _each(account_id, "state", _parts(decode(account_id, written)), _parts(stored))
    return {**found, **_columns(state, stored, row), **_plan_rows(state, row, [state.adopted or newest])}


def compare_row(account_id: str, row: StoredRow, sets: Sequence[PlanSet]) -> Differences:
    """An account's rows with the state that they repeat, which is all that can be said without its log. They may be by
    any of these sets of plans, the newest first."""
    try:
        stored = decode(account_id, row.facts)
    except UnknownEncoding as error:
        return {Place(account_id, "state", "encoding"): difference("a readable state", str(error))}
    return {**_columns(stored, stored, row), **_plan_rows(stored, row, sets)}


def _columns(state: AccountState, stored: AccountState, row: StoredRow) -> Differences:
    # The next check is a lower bound, which a sweep may bring nearer to the truth: the row has to repeat its own state.
    expected = {"next_check": stored.next_check_ms, "name": state.name, "owner": state.owner}
    found = {"next_check": row.next_check_ms, "name": row.name, "owner": row.owner}
    expected["last_event"], found["last_event"] = last_event(state), row.last_event
    expected |= _days(active_days(state.facts))
    found |= _days(row.active_days)
    return _each(state.account_id, "account_row", expected, found)


def _days(days: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Each of the active days as a column of its own."""
    return {f"active_days {key}": tuple(value) for key, value in days.items()}


def _plan_rows(state: AccountState, row: StoredRow, sets: Sequence[PlanSet]) -> Differences:
    found = {plan: _plan_row(one) for plan, one in row.plans.items()}
    newest: Differences | None = None
    for plans in sets:
        expected = {one.plan: _plan_row(one) for one in plan_rows(state, plans)}
        differences = _each(state.account_id, "account_plan", expected, found)
        if not differences:
            return {}
        newest = newest or differences
    return newest or {}


def _plan_row(row: PlanRow) -> dict[str, Any]:
    return dict(msgspec.to_builtins(row))


def _each(account_id: str, kind: str, expected: dict[str, Any], found: dict[str, Any]) -> Differences:
    return {
        Place(account_id, kind, name): difference(expected.get(name), found.get(name))
        for name in expected | found
        if expected.get(name) != found.get(name)
    }


def _parts(state: AccountState) -> dict[str, Any]:
    """The state by its parts, each of plain values, without what tells when it is looked at next: a sweep also looks at
    accounts that are not due."""
    facts = {name: getattr(state.facts, name) for name in state.facts.__struct_fields__}
    whole = {
        **facts,
        **{f"plan {plan}": _standing(one) for plan, one in state.plans.items()},
        "enrolled_at_ms": state.enrolled_at_ms,
        "sequence": state.sequence,
        "life": state.life,
    }
    return {name: msgspec.to_builtins(value, str_keys=True) for name, value in whole.items()}


def _standing(known: PlanState) -> dict[str, Any]:
    return {name: getattr(known, name) for name in known.__struct_fields__ if name != "watchful"}


def _shown(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[:VALUE_CHARACTERS_MAX] + "…"
