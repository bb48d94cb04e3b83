"""Commands: how they are taken apart, and what each must be to be taken."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.commands import COMMANDS, NEVER_SNOOZED_KINDS, SNOOZED_KINDS
from schemas.export import EXAMPLES
from services.activation_engine.domain.instants import parse_instant
from services.ingest.dialects.commands import read_command, split_commands
from services.ingest.events import BodyInvalid, IncomingEvent, Rejected
from services.runtime.access import Scope
from services.runtime.problems import Problem

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
SET = {"command": "set", "account_id": "acme", "traits": {"segment": "smb"}, "message_id": "c-1"}
ALL_SCOPES = frozenset(Scope)


def read(command: Any, *, scopes: frozenset[Scope] = ALL_SCOPES, bytes_max: int = 65_536) -> IncomingEvent:
    """The event that one command becomes, given with a key of these scopes."""
    raw = command if isinstance(command, bytes) else json.dumps(command).encode()
    return read_command(raw, bytes_max=bytes_max, received_at=NOW, may=scopes.__contains__)


def order(name: str, **fields: Any) -> dict[str, Any]:
    """A command about acme."""
    return {"command": name, "account_id": "acme", **fields}


def refusal(command: Any) -> Rejected:
    """Why the command is not taken."""
    with pytest.raises(Rejected) as rejected:
        read(command)
    return rejected.value


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([SET, SET]),
        json.dumps(SET) + "\n\n" + json.dumps(SET) + "\n",
        "\n [" + json.dumps(SET) + " ,\n" + json.dumps(SET, indent=2) + "]\n",
    ],
)
def test_commands_come_as_array_or_lines(body: str) -> None:
    """Whatever the white space."""
    commands = [read(raw) for raw in split_commands(body.encode(), commands_max=10)]
    assert [(one.type, one.event, one.account_id, one.message_id) for one in commands] == [
        ("command", "set", "acme", "c-1")
    ] * 2


def test_one_command_may_spread_over_lines() -> None:
    """A pretty-printed object is not newline-delimited JSON."""
    assert len(split_commands(json.dumps(SET, indent=2).encode(), commands_max=10)) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_each_command_is_taken_untouched(name: str) -> None:
    """As an event of type `command`; the body is the client's own bytes, and says nothing about activity."""
    raw = (EXAMPLES / "command" / f"{name}.json").read_bytes()
    event = read(raw)
    assert (event.type, event.event, event.account_id, event.user_id) == ("command", name, "acme", None)
    assert event.body == raw


@pytest.mark.parametrize(
    "command",
    [
        order("note", event="a.b"),
        order("note", event="ä" * 126 + ".b", text="x" * 1000),
        order("pause", reason="x", side="us"),
        order("pause", reason="é" * 200, side="customer", until="2026-11-20T10:00:01Z"),
        order("pause", reason="x", side="us", until=None),
        order("snooze", kind="account_quiet", until="2020-01-01"),
        *(order("snooze", kind=kind, until="2027-01-01") for kind in SNOOZED_KINDS),
        order("mark", milestone="m" * 64),
        order("mark", milestone="m", at="2026-11-20T10:05:00Z"),
        order("diagnose", cause="fit"),
        order("move", plan="2nd-plan_b"),
        order("move", plan=None),
        order("reopen", message_id=None, timestamp=None),
        {"command": "resume", "account_id": 17},
    ],
)
def test_what_is_within_the_limits_is_taken(command: dict[str, Any]) -> None:
    """The last value that each limit allows, and every optional field left out or null."""
    assert read(command).event == command["command"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (order("explode"), "command_unknown"),
        (order("erase-person", user_id="u"), "command_unknown"),
        ({"account_id": "acme"}, "command_invalid"),
        ({"command": "set", "account_id": "acme"}, "command_invalid"),
        ({"command": "set", "account_id": "acme", "traits": [1]}, "command_invalid"),
        ({**SET, "message_id": "m" * 256}, "id_too_long"),
        ({**SET, "traits": {"x": "\0"}}, "nul_character"),
        ({**SET, "traits": {"x": "y" * 70_000}}, "event_too_large"),
        ([SET], "command_invalid"),
        ({"command": "set", "traits": {"x": 1}}, "account_missing"),
        ({**SET, "traits": {"contract_start": "soon"}}, "trait_invalid"),
        ({**SET, "traits": {"contract_start": 20261101}}, "trait_invalid"),
        ({**SET, "traits": {"reached.first_output": "last week"}}, "trait_invalid"),
        ({**SET, "traits": {"waived.first_output": "no"}}, "trait_invalid"),
        ({**SET, "traits": {"waived.first_output": 1}}, "trait_invalid"),
        ({**SET, "traits": {"reached.first_output": "2026-11-21"}}, "trait_invalid"),
        (order("note", event="ä" * 127 + ".b"), "id_too_long"),
        (order("erase_person", user_id="ä" * 128), "id_too_long"),
    ],
)
def test_a_bad_command_is_rejected(command: Any, code: str) -> None:
    """With a code that says why."""
    assert refusal(command).code == code


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (order("note"), "`event`"),
        (order("note", event="held"), "with a dot"),
        (order("note", event="."), "with a dot"),
        (order("note", event="a.b", text="x" * 1001), "1000"),
        (order("pause", side="us"), "`reason`"),
        (order("pause", reason=" ", side="us"), "1 to 200 characters"),
        (order("pause", reason="x" * 201, side="us"), "1 to 200 characters"),
        (order("pause", reason="x", side="them"), "side (customer or us)"),
        (order("pause", reason="x", side="long" * 9_000), "`side` is not written as it has to be. It takes"),
        (order("pause", reason="x"), "`side`"),
        (order("pause", reason="x", side="us", until="2026-11-20T10:00:00Z"), "a date to come"),
        (order("pause", reason="x", side="us", until="2026-11-20"), "a date to come"),
        (order("pause", reason="x", side="us", until="soon"), "2026-12-01"),
        (order("pause", reason="x", side="us", until=1795341600), "send `until` as text or null, not"),
        (order("pause", reason="x", side="us", until="2200-01-01"), "2026-12-01"),
        (order("pause", reason="x", side="us", untill="2026-12-01"), "did you mean `until`?"),
        (order("snooze", kind="at_risk"), "`until`"),
        (order("snooze", kind="at_risk", until=None), "send `until` as text, not as null"),
        (order("snooze", kind="at_risk", until="14d"), "2026-12-01"),
        (order("snooze", kind="account.at_risk", until="2026-12-01"), "at_risk, stalled"),
        (order("snooze", kind="at_risk\n", until="2026-12-01"), "at_risk, stalled"),
        *((order("snooze", kind=kind, until="2026-12-01"), "never be told") for kind in NEVER_SNOOZED_KINDS),
        (order("mark", milestone="First"), "lower-case letters, digits and _"),
        (order("mark", milestone="m" * 65), "lower-case letters, digits and _"),
        (order("mark", milestone="m", at="2026-11-20T10:05:01Z"), "has come"),
        (order("mark", milestone="m", at="recently"), "2026-12-01"),
        (order("waive"), "`milestone`"),
        (order("waive", milestone="m", at="2026-11-01"), "no field `at`"),
        (order("diagnose", cause="unknown"), "fit or execution"),
        (order("diagnose", cause="fit", action="hope"), "help, downsize, pivot or exit"),
        (order("move"), "null"),
        (order("move", plan="B2B"), "lower-case letters"),
        (order("move", plan="b2b\n"), "`plan` is not written as it has to be"),
        (order("close", reason=""), "1 to 200 characters"),
        (order("resume", reason="x"), "no field `reason`; it takes no fields of its own"),
        (order("reopen", messageId="x"), "did you mean `message_id`?"),
        (order("erase", acount_id="b"), "did you mean `account_id`?"),
        (order("erase_person", user_id=""), "user_id"),
        (order("erase_person", user_id=5), "send `user_id` as text, not as a whole number"),
    ],
)
def test_each_command_says_what_it_takes(command: dict[str, Any], advice: str) -> None:
    """Missing, misspelt, too long or meaningless fields: one code, and a sentence that says what to send instead."""
    rejected = refusal({**command, "message_id": "c-1", "account_id": "acme"})
    assert (rejected.code, rejected.message_id) == ("command_invalid", "c-1")
    assert advice in rejected.message
    assert rejected.message.startswith("Correct the ")
    assert rejected.message.endswith((".", "?"))
    assert not re.search(r"regex|Expected|Object|\$", rejected.message)
    assert len(rejected.message) < 400


@pytest.mark.parametrize("name", COMMANDS)
def test_what_erases_needs_an_admin_key(name: str) -> None:
    """Everything else needs accounts:write alone."""
    raw = (EXAMPLES / "command" / f"{name}.json").read_bytes()
    scopes = frozenset({Scope.ACCOUNTS_WRITE})
    if name not in ("erase", "erase_person"):
        assert read(raw, scopes=scopes).event == name
        return
    with pytest.raises(Problem) as problem:
        read(raw, scopes=scopes)
    assert (problem.value.status, problem.value.code) == (403, "scope_missing")
    assert name in problem.value.message
    assert "admin" in problem.value.message


def test_dates_of_an_import_are_taken() -> None:
    """What was reached in the past, a contract that starts later, and a date that is taken back."""
    traits = {"reached.a": "2026-11-20T10:04:00Z", "reached.b": "2020-02-01", "contract_start": "2027-01-01"}
    for chosen in (traits, dict.fromkeys(traits)):
        assert read({**SET, "traits": chosen}).event == "set"


_INSTANTS = st.datetimes(
    min_value=datetime(1960, 1, 1),  # noqa: DTZ001
    max_value=datetime(2210, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([None, UTC]),
)


@given(st.one_of(_INSTANTS.map(datetime.isoformat), st.dates().map(str), st.text(max_size=30)))
def test_ingest_and_engine_agree_on_what_a_date_is(text: str) -> None:
    """A date that one takes and the other does not would be an order that is confirmed and lost."""
    try:
        taken = read(order("snooze", kind="at_risk", until=text)) is not None
    except Rejected:
        taken = False
    assert taken == (parse_instant(text) is not None)


@given(st.timedeltas(min_value=timedelta(days=-400), max_value=timedelta(days=400)))
def test_a_pause_ends_in_the_future_or_is_refused(ahead: timedelta) -> None:
    """Whatever the offset in which its end is written."""
    until = (NOW + ahead).isoformat()
    if ahead > timedelta(0):
        assert read(order("pause", reason="x", side="us", until=until)).event == "pause"
    else:
        assert refusal(order("pause", reason="x", side="us", until=until)).code == "command_invalid"


@pytest.mark.parametrize(
    ("body", "code"), [(b" ", "batch_empty"), (b"[]", "batch_empty"), (b"[1,2,3]", "too_many_events")]
)
def test_bodies_without_or_with_too_many_commands_are_refused(body: bytes, code: str) -> None:
    """As a whole."""
    with pytest.raises(BodyInvalid) as refusal:
        split_commands(body, commands_max=2)
    assert refusal.value.code == code


@pytest.mark.parametrize("bad", [b'{"x":NaN}', b'{"x":1e400}', b'{"x":"\xff"}', b"{", b'{"x":"\\ud800"}', b"x"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_bad_line_spoils_no_other(bad: bytes, at: int) -> None:
    """Wherever it is and however bad; empty lines count for nothing."""
    lines = [b'{"command":"set","account_id":"a","traits":{}}'] * 2
    lines.insert(at, bad)
    assert split_commands(b"\r\n\n \n".join(lines), commands_max=3) == lines


_FIELDS = sorted({field for kind in COMMANDS.values() for field in kind.__struct_fields__})
_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=1)


@given(st.sampled_from(sorted(COMMANDS)), st.dictionaries(st.sampled_from(_FIELDS) | st.text(max_size=8), _VALUES))
def test_arbitrary_fields_are_taken_or_rejected(name: str, fields: dict[str, Any]) -> None:
    """No combination of fields and types is a failure of ours."""
    try:
        assert read(order(name) | fields | {"command": name}).event == name
    except Rejected as rejected:
        assert rejected.message  # noqa: PT017
