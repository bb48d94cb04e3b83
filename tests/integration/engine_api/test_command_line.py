"""The `firstvalue` command against the engine's API over HTTP: what it prints, and its exit statuses."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.positions import encode_position
from tests.fakes.stand_in_services import stand_in_services
from tests.integration.engine_api.partition_rows import (
    DAY_MS,
    START_MS,
    traits,
    usage,
)
from tests.integration.engine_api.terminal import REFUSED, UNREACHABLE, USAGE, Terminal

NOW_MS = START_MS + 2 * DAY_MS


async def test_accounts_are_listed_shown_and_explained(terminal: Terminal) -> None:
    """Tables for people, the API's rows with --json, ids of any characters."""
    table = await terminal.run("account", "list")
    assert table.status == 0
    assert [line.split()[:3] for line in table.output.splitlines()[1:]] == [
        ["acme/1", "Acme", "b2b-saas"],
        ["b", "-", "b2b-saas"],
    ]
    assert "\x1b" not in table.output
    owned = json.loads((await terminal.run("account", "list", "--owner", "dana", "--json")).output)
    assert [row["id"] for row in owned] == ["acme/1"]
    reached = await terminal.run("account", "list", "--milestone", "first_data", "--json")
    assert [row["id"] for row in json.loads(reached.output)] == ["acme/1", "b"]
    nobody = await terminal.run("account", "list", "--milestone", "first_output", "--segment", "big")
    assert (nobody.status, nobody.complaint) == (0, "no account matches (segment=big, milestone=first_output)\n")
    nothing = await terminal.run("account", "list", "--segment", "nosuch")
    assert (nothing.status, "Name one of these: big, smb." in nothing.complaint) == (REFUSED, True)
    unplanned = await terminal.run("account", "list", "--plan", "nosuch")
    assert (unplanned.status, "b2b-saas" in unplanned.complaint) == (REFUSED, True)
    shown = await terminal.run("account", "show", "acme/1")
    assert "First data" in shown.output
    explained = await terminal.run("account", "explain", "acme/1")
    assert explained.output.startswith("Acme is on track under b2b-saas")


async def test_an_order_is_answered_by_what_the_engine_then_knows(terminal: Terminal) -> None:
    """Once the engine is past the position that ingest answered; an account that it forgot is erased."""
    with stand_in_services() as ingest:
        ingest.position = encode_position({1: 7})
        giving = asyncio.create_task(
            terminal.run("account", "set", "acme/1", "segment=big", FIRSTVALUE_INGEST_URL=ingest.url)
        )
        assert await asyncio.to_thread(ingest.taken.wait, 30)
        await terminal.rows.move_lease(1, next_offset=7)
        given = await giving
        assert (given.status, given.output) == (0, "acme/1: on_track under b2b-saas\n"), given.complaint
        gone = await terminal.run("account", "erase", "gone", "--yes", FIRSTVALUE_INGEST_URL=ingest.url)
        assert (gone.status, gone.output) == (0, "gone: erased\n"), gone.complaint


async def test_signals_are_printed_one_a_line(terminal: Terminal) -> None:
    """Every signal so far with --no-follow, as JSON lines with --json."""
    printed = await terminal.run("signal", "tail", "--no-follow", "--json")
    signals = [json.loads(line) for line in printed.output.splitlines()]
    assert {signal["account"]["id"] for signal in signals} == {"acme/1", "b"}
    readable = await terminal.run("signal", "tail", "--no-follow")
    assert len(readable.output.splitlines()) == len(signals)
    assert all("  b2b-saas  " in line for line in readable.output.splitlines())
    timeline = await terminal.run("account", "timeline", "acme/1")
    assert timeline.output.splitlines() == [line for line in readable.output.splitlines() if "  acme/1  " in line]
    of_account = await terminal.run("account", "timeline", "acme/1", "--json")
    about_it = [one for one in signals if one["account"]["id"] == "acme/1"]
    assert json.loads(of_account.output) == {"data": about_it, "superseded": []}


@pytest.mark.parametrize(
    ("words", "environment", "status", "complaint"),
    [
        (["account", "show", "nobody"], {}, REFUSED, "account_unknown"),
        (["account", "list"], {"FIRSTVALUE_API_KEY": "wrong"}, REFUSED, "key_unknown"),
        (["account", "list", "--limit", "none"], {}, USAGE, "--limit"),
        (["account", "list", "--status", "nosuch"], {}, USAGE, "'--status': 'nosuch' is not one of"),
        (["account", "pause", "a", "--reason", "r", "--side", "them"], {}, USAGE, "'--side': 'them' is not one of"),
        (["account", "list"], {"FIRSTVALUE_ENGINE_URL": "127.0.0.1:1"}, USAGE, "is not an address"),
        (["plan", "check", "missing.yaml"], {}, USAGE, "missing.yaml"),
        (["account", "list"], {"FIRSTVALUE_ENGINE_URL": "http://127.0.0.1:1"}, UNREACHABLE, "http://127.0.0.1:1"),
        (["endpoint", "list"], {}, UNREACHABLE, "firstvalue up"),
        (["key", "revoke", "some"], {"FIRSTVALUE_INGEST_URL": "http://127.0.0.1:1"}, UNREACHABLE, "127.0.0.1:1"),
    ],
)
async def test_failures_have_their_exit_status(
    terminal: Terminal, words: list[str], environment: dict[str, str], status: int, complaint: str
) -> None:
    """1 refused, 2 used wrongly, 3 nobody answers; the complaint says what to do, nothing is on standard output."""
    ended = await terminal.run(*words, **environment)
    assert (ended.status, ended.output) == (status, "")
    assert complaint in ended.complaint
    assert "Traceback" not in ended.complaint


async def test_operators_see_partitions_and_are_asked_before_a_resume(terminal: Terminal) -> None:
    """A stopped partition says why; going on needs a yes, and is refused for one that is not stopped."""
    await terminal.rows.move_lease(2, stopped="records_expired", owner=None)
    table = await terminal.run("ops", "partitions")
    assert [line.split()[:3] for line in table.output.splitlines()[1:]] == [
        ["0", "running", "-"],
        ["1", "running", "-"],
        ["2", "stopped", "records_expired"],
    ]
    unasked = await terminal.run("ops", "resume", "2", "--from", "earliest")
    assert (unasked.status, unasked.output) == (USAGE, "")
    assert "stopped at offset 0 (records_expired)" in unasked.complaint
    running = await terminal.run("ops", "resume", "1", "--from", "7", "--yes")
    assert running.status == REFUSED
    assert "partition_not_stopped" in running.complaint
    nowhere = await terminal.run("ops", "resume", "2", "--from", "there", "--yes")
    assert nowhere.status == USAGE
    without_broker = await terminal.run("ops", "resume", "2", "--from", "latest", "--yes")
    assert (without_broker.status, "broker_unavailable" in without_broker.complaint) == (UNREACHABLE, True)
    letters = await terminal.run("ops", "dead-letters", "--json")
    assert (letters.status, json.loads(letters.output)) == (0, [])


async def test_a_key_is_looked_for_before_anybody_is_asked(terminal: Terminal) -> None:
    """One that does not exist is refused; the question names what the key was created for."""
    with stand_in_services() as ingest:
        ingest.account_answers = [(200, {"data": [{"id": "k1", "name": "product backend"}], "next": None})] * 2
        unknown = await terminal.run("key", "revoke", "nosuch", FIRSTVALUE_INGEST_URL=ingest.url)
        known = await terminal.run("key", "revoke", "k1", FIRSTVALUE_INGEST_URL=ingest.url)
    assert (unknown.status, "`firstvalue key list`" in unknown.complaint) == (REFUSED, True)
    assert (known.status, "Revoke key k1 (product backend)?" in known.complaint) == (USAGE, True)


async def test_a_letter_requeued_before_is_told_as_such(terminal: Terminal, database: AsyncEngine) -> None:
    """With where it went and when; nothing is appended, so that no broker is needed."""
    before = {"requeued_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "requeued_offset": 9}
    insert = sa.text(
        'INSERT INTO activation.dead_letter (part, "offset", reason, detail, appended_ms, requeued_at, requeued_offset)'
        " VALUES (1, 4, 'no_value', 'd', 1, :requeued_at, :requeued_offset) RETURNING id"
    )
    async with database.begin() as connection:
        letter_id = await connection.scalar(insert, before)
    told = await terminal.run("ops", "requeue", str(letter_id))
    place = "partition 1, offset 9 at 2026-01-02T03:04:00Z"
    assert told.output == f"{letter_id}: was sent before, to {place}; --again sends it once more\n", told.complaint
    async with database.begin() as connection:
        await connection.execute(sa.text("TRUNCATE activation.dead_letter"))


@pytest.mark.parametrize(
    ("verb", "shown"),
    [
        ("status", "2026-01"),
        ("funnel", "step median days"),
        ("ttfv", "naive median days"),
        ("adoption", "Active days of the last 30"),
        ("obstacles", "p90 days"),
        ("owners", "dana"),
    ],
)
async def test_insights_are_tables_for_people_and_the_answer_for_programs(
    terminal: Terminal, verb: str, shown: str
) -> None:
    """The sentence first, then the table; filters are passed on; --json is what the API says."""
    await terminal.rows.apply("c", traits("c", owner="dana"), usage("c", "data.ingested", day=0), tick_ms=NOW_MS)
    readable = await terminal.run("insight", verb, "--plan", "b2b-saas")
    assert (readable.status, readable.complaint) == (0, "")
    assert shown in readable.output
    filtered = await terminal.run("insight", verb, "--started-from", "2030-01-01", "--segment", "smb", "--json")
    answer = json.loads(filtered.output)
    assert readable.output.splitlines()[1].startswith("b2b-saas version 1, as of 2026-01-01")
    assert answer["plan"] == "b2b-saas"
    assert answer.get("total", {"accounts": 0})["accounts"] == 0


async def test_event_names_and_surprises_are_listed(terminal: Terminal) -> None:
    """An empty catalogue says so on standard error; one with names lists them."""
    assert (await terminal.run("event", "names")).complaint == "no events yet\n"
    await terminal.rows.note_name("Page Opened", 3)
    assert "Page Opened" in (await terminal.run("event", "names", "--query", "page")).output
    assert json.loads((await terminal.run("event", "names", "--query", "none", "--json")).output) == []
    assert "Page Opened" in (await terminal.run("insight", "surprises")).output
