"""What happens in a world depends on its log alone: not on who is looked at, what is cached, or who comes first."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.activation_engine.domain.account import PlanState
from services.activation_engine.domain.description import describe
from services.activation_engine.domain.encoding import decode, encode
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.signals import CandidateSignal, to_payload
from tests.fakes.oracle import Oracle, Record, Tick, expected_ids
from tests.unit.engine.test_next_check import Everybody, key
from tests.unit.engine.worlds import GROWING_LOGS, LOGS, PLANS

# The same worlds each time. Look for more with `derandomize=False` and many examples.

# Of these a later record may change the date, so that the order of records decides which is told.
DATED_BY_RECORDS = ("activation_started", "milestone_reached", "first_value_reached", "activated")


class Reloading(Oracle):
    """Forgets between any two records all that is not stored."""

    def take(self, record: Record) -> list[CandidateSignal]:
        """As usual."""
        told = super().take(record)
        self.accounts = {account: decode(account, encode(state)) for account, state in self.accounts.items()}
        return told


def standings(oracle: Oracle) -> dict[str, dict[str, PlanState]]:
    """Where accounts stand, but for `watchful`, which like `next_check_ms` only says who is looked at."""
    return {
        account: {one: msgspec.structs.replace(known, watchful=False) for one, known in state.plans.items()}
        for account, state in oracle.accounts.items()
    }


def explained(oracle: Oracle) -> Iterator[dict[str, Any]]:
    """Why each account is where it is, under each plan."""
    for state in oracle.accounts.values():
        yield from explain(state, oracle.plans, oracle.clock)["plans"]


def decided(told: dict[str, Any]) -> bool:
    """Whether a tick has left nothing to decide, and text and rules agree on whether the reason still holds."""
    if told["verdict"] not in (None, told["status"]):
        return False
    entered = told["entered_by"]
    if entered is None:
        return True
    rules = [(one["status"], one["reason"], one["milestone"]) for one in told["rules"]]
    holds = (told["status"], entered["reason"], entered["milestone"]) in rules
    return entered["holds"] == holds and entered["text"] in told["text"]


@pytest.mark.parametrize("other", [Everybody, Reloading])
@settings(max_examples=40, derandomize=True)
@given(records=LOGS)
def test_neither_looking_nor_storing_decides(other: type[Oracle], records: list[Record]) -> None:
    """The same signals at the same records and the same standing after each tick; all of it can be told."""
    usual, another = Oracle(PLANS), other(PLANS)
    for record in records:
        told = sorted(key(one) for one in usual.take(record))
        assert told == sorted(key(one) for one in another.take(record))
        if isinstance(record, Tick):
            assert standings(usual) == standings(another)
            assert usual.clock.holding or all(map(decided, explained(usual)))
    for account, state in usual.accounts.items():
        assert describe(state, usual.plans, usual.clock)["id"] == account
    assert all(to_payload(one)["summary"].endswith(".") for one in usual.signals)


@settings(max_examples=40, derandomize=True)
@given(GROWING_LOGS, st.randoms(use_true_random=False))
def test_order_between_ticks_decides_nothing(records: list[Record], rng: random.Random) -> None:
    """Records that reach the log between the same two ticks, in any order: the same facts, the same said by ticks."""
    kept, shuffled = Oracle(PLANS), Oracle(PLANS)
    between: list[Record] = []
    for record in records:
        if isinstance(record, Tick):
            fold_both(kept, shuffled, between, rng)
            assert told_by_clock(kept.take(record)) == told_by_clock(shuffled.take(record))
            assert all(state.facts == shuffled.accounts[one].facts for one, state in kept.accounts.items())
            between = []
        else:
            between.append(record)


def fold_both(kept: Oracle, shuffled: Oracle, between: list[Record], rng: random.Random) -> None:
    """The same records, appended at one moment, as they are and in another order."""
    moment = max((one.appended_at_ms for one in between if not isinstance(one, Tick | PlanSet)), default=0)
    same = [
        msgspec.structs.replace(one, appended_at_ms=moment, received_at_ms=moment)
        for one in between
        if not isinstance(one, Tick | PlanSet)
    ]
    for record in same:
        kept.take(record)
    for record in rng.sample(same, len(same)):
        shuffled.take(record)


def told_by_clock(signals: list[CandidateSignal]) -> list[str]:
    """Ids of what a tick decided."""
    return sorted(one.id for one in signals if not one.type.endswith(DATED_BY_RECORDS))


@settings(max_examples=40, derandomize=True)
@given(LOGS, st.sets(st.integers(0, 200), max_size=6), st.sampled_from(["silent", "emit"]))
def test_publishing_the_same_again_says_nothing_new(records: list[Record], places: set[int], policy: str) -> None:
    """Copies of the live versions that go live on the way change no id."""
    mixed, clock_ms = list[Record](), 0
    for number, record in enumerate(records):
        if number in places:
            mixed.append(
                PlanSet.of(
                    LivePlan(one.plan, number + 2, clock_ms, "emit" if policy == "emit" else "silent")
                    for one in PLANS.live
                )
            )
        mixed.append(record)
        clock_ms = record.append_ms if isinstance(record, Tick) else clock_ms
    assert expected_ids(mixed, PLANS) == expected_ids(records, PLANS)
