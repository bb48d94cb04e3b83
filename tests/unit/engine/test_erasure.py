"""After an erasure nothing is left of what came before it, in whatever order that came."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.signals import decode as decode_signal
from services.activation_engine.domain.encoding import encode
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plain_fold import Oracle, fold_partition
from services.activation_engine.domain.signals import signal_id, to_payload
from tests.builders import HOUR_MS, START_MS, command, day, event, plan_set, traits

_COMMANDS = (
    ("pause", {"reason": "holiday"}),
    ("mark", {"milestone": "habit"}),
    ("close", {"reason": "left"}),
    ("erase_person", {"user_id": "ann"}),
)


@st.composite
def records(draw: st.DrawFn, prefix: str) -> list[Event]:
    """Some records of acme within two weeks, appended as they happen."""
    made: list[Event] = []
    for number in range(draw(st.integers(0, 8))):
        at, message = START_MS + draw(st.integers(0, 14 * 24)) * HOUR_MS, f"{prefix}{number}"
        kind = draw(st.integers(0, 5))
        if kind == 0:
            made.append(traits(at, message=message, segment="smb", name="Acme Inc"))
        elif kind == 1:
            name, fields = draw(st.sampled_from(_COMMANDS))
            made.append(command(name, at, message=message, **fields))
        else:
            name = draw(st.sampled_from(["Data Imported", "Report Made", "Page Viewed"]))
            made.append(event(name, at, message=message, user=draw(st.sampled_from(["ann", "bob"]))))
    return made


@given(records("before"), records("after"), st.randoms())
def test_what_came_before_an_erasure_makes_no_difference(
    before: list[Event], after: list[Event], random: object
) -> None:
    """Neither its order nor that it came at all: the state is that of an account which begins afterwards."""
    erased = command("erase", day(15), message="e")
    shuffled = sorted(before, key=lambda _: random.random())  # type: ignore[attr-defined]
    alone = fold_partition(after, plan_set())
    for stream in ([*before, erased, *after], [*shuffled, erased, *after], [erased, *after]):
        told = fold_partition([msgspec.structs.replace(one) for one in stream], plan_set())
        assert set(told.accounts) == set(alone.accounts)
        for account_id, state in told.accounts.items():
            assert state.facts == alone.accounts[account_id].facts
            assert state.plans == alone.accounts[account_id].plans
            assert state.enrolled_at_ms == after[0].appended_at_ms


def test_the_last_signal_tells_no_more_than_the_id() -> None:
    """Its id is minted of account and instant, so that a replay mints it again; its number follows the others."""
    story = fold_partition([traits(name="Acme Inc", owner="dana@vendor.example"), event("Data Imported")], plan_set())
    numbered = len(story.signals)
    (told,) = story.take(command("erase", day(3), message="gone"))
    assert told.id == signal_id("acme", "", "", "account.erased", str(day(3)))
    assert told.sequence == numbered + 1
    payload = msgspec.json.encode(to_payload(told, traits=("name",), account_link="https://crm/{account}"))
    assert b"Acme Inc" not in payload
    assert b"dana" not in payload
    assert b"https" not in payload
    signal = decode_signal(payload)
    assert (signal.plan, signal.status, signal.milestone, signal.origin) == (None, None, None, "live")
    assert (signal.account.id, signal.account.traits, signal.evidence.rule) == ("acme", {}, "erased by command")
    assert story.accounts == {}


def test_an_account_that_nobody_knows_is_erased_as_well() -> None:
    """Subscribers may know it; the same command again is the same signal."""
    oracle = Oracle(plan_set())
    assert [one.type for one in oracle.take(command("erase", day(1)))] == ["account.erased"]
    assert oracle.take(command("erase", day(1))) == []
    assert oracle.accounts == {}


def test_a_returned_account_announces_nothing_twice() -> None:
    """What was announced of it before keeps its id; what it reaches for the first time is news."""
    oracle = Oracle(plan_set())
    for one in (event("Data Imported", day(0)), command("erase", day(1))):
        oracle.take(one)
    again = [event("Data Imported", day(2)), event("Report Made", day(3))]
    assert {one.type for record in again for one in oracle.take(record)} == {
        "account.milestone_reached",
        "account.first_value_reached",
        "account.activated",
    }
    assert encode(oracle.accounts["acme"]) != b""
