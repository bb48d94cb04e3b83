"""What the hot path makes of an event by what is known of its user, and when it tells the resolver."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.product_event import ProductEvent, decode_product_event
from schemas.unresolved_event import UnresolvedEvent, decode_unresolved_event
from services.ingest.directory.person import NOBODY, Person
from services.ingest.events import IncomingEvent, Rejected
from services.ingest.records import Arrival, Built
from tests.unit.ingest.test_events_to_records import new_builder

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
KIM = Person(("acme",), "champion", NOW, "kim@vendor.example", NOW)
TWO = Person(("acme", "beta"))
BODY = b'{"event":"X"}'


def built(type_: Any, account_id: str | None, person: Person | None, **traits: Any) -> Built:
    """The records of an event of this user."""
    event = IncomingEvent(type_, BODY, account_id, "u-1", "X", "m-1", None, None, **traits)
    return new_builder(staff=("*@vendor.example",)).build(event, Arrival("k1", "/v1/batch", NOW, None), person)


def product(records: Built) -> ProductEvent:
    """The one that counts."""
    assert records.product is not None
    return decode_product_event(records.product.value)


def lessons(records: Built) -> list[UnresolvedEvent]:
    """Those that the resolver reads."""
    return [decode_unresolved_event(record.value) for record in records.unresolved]


@pytest.mark.parametrize("account_id", ["acme", None])
def test_what_was_learned_is_stamped(account_id: str | None) -> None:
    """Role and staff, whoever named the account; what the event says of its person comes first."""
    records = built("track", account_id, KIM)
    event = product(records)
    assert (event.account_id, event.role, event.staff) == ("acme", "champion", True)
    assert lessons(records) == []
    event = product(built("track", account_id, KIM, role="it", email="kim@acme.example"))
    assert (event.role, event.staff) == ("it", False)


def test_an_event_in_another_account_makes_ambiguous() -> None:
    """It counts where it says; the resolver hears of it, and the next one of the batch is not guessed."""
    records = built("track", "beta", KIM)
    assert product(records).account_id == "beta"
    [lesson] = lessons(records)
    assert (lesson.account_id, bytes(lesson.body)) == ("beta", b"{}")
    with pytest.raises(Rejected) as rejected:
        built("track", None, records.person)
    assert rejected.value.code == "account_ambiguous"


def test_an_ambiguous_user_is_taken_where_the_event_says() -> None:
    """And nowhere else."""
    assert product(built("track", "beta", TWO)).account_id == "beta"
    with pytest.raises(Rejected):
        built("track", None, TWO)


@pytest.mark.parametrize(
    ("type_", "person", "is_told"),
    [
        ("group", NOBODY, True),
        ("group", KIM, True),
        ("identify", KIM, False),
        ("identify", None, True),
        ("track", KIM, False),
        ("track", NOBODY, False),
        ("track", None, False),
    ],
)
def test_the_resolver_hears_what_may_teach(type_: str, person: Person | None, is_told: bool) -> None:
    """Group calls always, because events may have begun to wait since; of others, what is news as far as is known."""
    assert bool(lessons(built(type_, "acme", person))) is is_told


def test_an_event_of_nobody_waits() -> None:
    """With its body, and whole."""
    records = built("track", None, NOBODY, role="it")
    assert records.product is None
    [waiting] = lessons(records)
    assert (waiting.account_id, waiting.user_id, waiting.role, bytes(waiting.body)) == (None, "u-1", "it", BODY)


def test_who_could_not_be_asked_for_stays_unknown() -> None:
    """Whatever the event says: there may be more to know."""
    assert built("group", "acme", None).person is None
    assert built("group", "acme", NOBODY).person == Person(("acme",))
