"""What is learned about people: by the hot path and the resolver alike, in whatever order, never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.product_event import decode_product_event
from schemas.unresolved_event import UnresolvedEvent
from services.ingest.directory.decisions import Arrived, Decision, decide
from services.ingest.directory.person import NOBODY, Lesson, Person, taught
from services.ingest.directory.store import Waiting
from services.ingest.people import StaffRule

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
TYPES = ("track", "identify", "group", "page")
LESSONS = st.builds(
    Lesson,
    st.sampled_from(TYPES),
    st.none() | st.sampled_from(["acme", "globex", "initech"]),
    st.none() | st.sampled_from(["champion", "end_user"]),
    st.none() | st.sampled_from(["a@x.example", "b@x.example"]),
    st.integers(0, 5).map(lambda minutes: NOW + timedelta(minutes=minutes)),
)


def lesson(type_: str, account: str | None = None, *, minutes: int = 0, **traits: str) -> Lesson:
    """What one event says."""
    return Lesson(type_, account, traits.get("role"), traits.get("email"), NOW + timedelta(minutes=minutes))


def event(number: int, type_: str = "track", **fields: Any) -> Arrived:
    """A record of user u-1 as the resolver reads it."""
    read = UnresolvedEvent(
        v=1,
        source="k1",
        message_id=f"m-{number}",
        type=type_,  # type: ignore[arg-type]
        received_at=NOW,
        occurred_at=NOW,
        body=msgspec.Raw(b'{"event":"X"}'),
        user_id="u-1",
        **fields,
    )
    return Arrived(read, msgspec.json.encode(read), number)


def decided(*events: Arrived, known: Person | None = None, waiting: tuple[str, ...] = ()) -> Decision:
    """What is decided when at most three events of a user may wait."""
    return decide(
        events,
        known={} if known is None else {"u-1": known},
        waiting={"u-1": Waiting(len(waiting), frozenset(waiting))},
        waiting_max=3,
        staff=StaffRule(("*@vendor.example",)),
    )


def test_only_group_calls_teach_an_account() -> None:
    """A track with an account of its own says nothing about the user's other events."""
    assert taught(NOBODY, lesson("track", "acme")) is NOBODY
    assert taught(NOBODY, lesson("group", "acme")).account == "acme"


def test_a_second_account_makes_ambiguous_for_good() -> None:
    """Whichever event it comes with, and however often the first account comes again."""
    known = taught(NOBODY, lesson("group", "acme"))
    for type_ in TYPES:
        both = taught(known, lesson(type_, "globex"))
        assert (both.account, both.ambiguous) == (None, True)
        assert taught(both, lesson("group", "acme")) is both


def test_roles_stick_and_the_later_one_wins() -> None:
    """An old identify call that is sent again does not take a new role back; a track has no say."""
    person = taught(NOBODY, lesson("identify", minutes=3, role="champion", email="a@x.example"))
    assert taught(person, lesson("identify", minutes=2, role="end_user")) is person
    assert taught(person, lesson("track", minutes=9, role="end_user")) is person
    changed = taught(person, lesson("identify", minutes=4, role="end_user"))
    assert (changed.role, changed.email) == ("end_user", "a@x.example")


@given(st.lists(LESSONS, max_size=12))
def test_what_was_said_again_changes_nothing(lessons: list[Lesson]) -> None:
    """A lesson repeated at once is none, and a batch that is read twice, as after a crash, guesses no account."""
    person = NOBODY
    for one in lessons:
        person = taught(person, one)
        assert taught(person, one) is person
    again = person
    for one in lessons:
        again = taught(again, one)
    assert set(again.accounts) >= set(person.accounts)
    if person.ambiguous:
        assert again.ambiguous


def test_an_event_after_the_group_call_is_resolved_and_one_before_waits() -> None:
    """In the order of the log; what waits is released once the mapping is written."""
    decision = decided(event(1), event(2, "group", account_id="acme"), event(3))
    assert [parked.message_id for parked in decision.parked] == ["m-1"]
    [resolved] = decision.resolved
    assert resolved.account_id == "acme"
    assert decode_product_event(resolved.value).message_id == "m-3"
    assert decision.people["u-1"].account == "acme"


def test_an_ambiguous_user_is_never_guessed() -> None:
    """Its events without an account become dead letters that say why."""
    decision = decided(event(1), known=Person(("acme", "globex")))
    assert [(one.event.message_id, one.code) for one in decision.refused] == [("m-1", "account_ambiguous")]
    assert not decision.resolved
    assert not decision.parked


def test_beyond_the_limit_events_do_not_wait() -> None:
    """Those that wait already count."""
    decision = decided(*(event(number) for number in range(4)), waiting=("m-9",))
    assert [parked.message_id for parked in decision.parked] == ["m-0", "m-1"]
    assert [(one.event.message_id, one.code) for one in decision.refused] == [
        ("m-2", "account_unknown"),
        ("m-3", "account_unknown"),
    ]


def test_a_repeat_of_what_waits_ends_once() -> None:
    """At the limit too: it is released with the first one, and no dead letter besides; nor does it take up room."""
    decision = decided(event(1), event(2), event(2), event(3), event(3), waiting=("m-1", "m-9"))
    assert [parked.message_id for parked in decision.parked] == ["m-2"]
    assert [one.event.message_id for one in decision.refused] == ["m-3", "m-3"]


def test_a_resolved_event_gets_the_learned_role_and_the_stamp_of_staff() -> None:
    """By the e-mail that was learned; what the event itself says comes first."""
    person = Person(("acme",), "champion", NOW, "kim@vendor.example", NOW)
    decision = decided(event(1), event(2, role="it", email="kim@customer.example"), known=person)
    first, second = (decode_product_event(one.value) for one in decision.resolved)
    assert (first.role, first.staff, first.resolved_by) == ("champion", True, "user")
    assert (second.role, second.staff) == ("it", False)
