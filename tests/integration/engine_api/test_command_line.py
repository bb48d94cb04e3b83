"""The `firstvalue` command against the engine's API over HTTP: what it prints, and its exit statuses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.positions import encode_position
from services.activation_engine.api import new_engine_api
from services.runtime.http_server import HttpServer
from services.runtime.key_ring import KeyRing
from tests.fakes.operations import operations_over
from tests.fakes.stand_in_services import stand_in_services
from tests.integration.engine_api.conftest import ADMIN_KEY
from tests.integration.engine_api.partition_rows import (
    DAY_MS,
    PARTITIONS,
    PLAN_TEXT,
    START_MS,
    PartitionRows,
    traits,
    usage,
)

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
NOW_MS = START_MS + 2 * DAY_MS


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    status: int
    output: str
    complaint: str


@dataclass(frozen=True)
class Terminal:
    """Runs commands in an environment that names the engine."""

    rows: PartitionRows
    environment: dict[str, str]

    async def run(self, *words: str, **environment: str) -> Ended:
        """`firstvalue` with these arguments."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.cli", *words),
            env=self.environment | environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            output, complaint = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, output.decode(), complaint.decode())


@pytest.fixture
async def terminal(database: AsyncEngine, tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal beside a served engine with a plan and two accounts."""
    rows = PartitionRows(database)
    await rows.claim_all()
    await rows.publish()
    await rows.apply("acme/1", traits("acme/1", name="Acme", owner="dana"), usage("acme/1", "data.ingested", day=0))
    await rows.apply("b", usage("b", "data.ingested", day=0), part=1)
    app = new_engine_api(
        reads=database,
        keys=KeyRing(database, admin_key=ADMIN_KEY, pepper=""),
        partitions=lambda: PARTITIONS,
        operations=operations_over(database),
    )
    server = HttpServer(app, host="127.0.0.1", port=0)
    serving = asyncio.create_task(server.serve())
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTVALUE_")}
    named = {"FIRSTVALUE_ENGINE_URL": f"http://127.0.0.1:{server.port}", "FIRSTVALUE_API_KEY": ADMIN_KEY}
    yield Terminal(rows, inherited | named | {"FIRSTVALUE_DATA_DIR": str(tmp_path)})
    await server.stop()
    await serving


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


async def test_a_plan_file_is_checked_and_published(terminal: Terminal, tmp_path: Path) -> None:
    """A valid file becomes the next version, a broken one is refused with its own name and line."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(PLAN_TEXT.replace("week 1", "week 2"))
    bad.write_text(PLAN_TEXT.replace("week 1", "weak 1"))
    checked = await terminal.run("plan", "check", str(good), FIRSTVALUE_ENGINE_URL="http://127.0.0.1:1")
    assert checked.output.startswith("b2b-saas is valid")
    async with terminal.rows.adopting():
        published = await terminal.run("plan", "publish", str(good))
    assert published.output == "b2b-saas version 2 published, live: events from now on are judged by it\n"
    assert published.complaint.startswith(f"warning: {good}:")
    assert "event names were never sent" in published.complaint
    refused = await terminal.run("plan", "publish", str(bad))
    assert refused.status == REFUSED
    line = 1 + PLAN_TEXT.splitlines().index("  first_data:   {due: week 1, when: data.ingested}")
    assert f"{bad}:{line}:" in refused.complaint
    errors = json.loads((await terminal.run("plan", "check", str(bad), "--json")).output)["errors"]
    assert errors[0]["line"] == line


async def test_a_check_says_what_the_publication_will(terminal: Terminal, tmp_path: Path) -> None:
    """In the same words; a key that only reads is told that nobody can know, and a program gets the API's fields."""
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN_TEXT.replace("report.generated", "report.built").replace("first_data", "data_in"))
    await terminal.rows.note_name("report.generated", 1)
    await terminal.rows.note_name("report.built", 1)
    checked = await terminal.run("plan", "check", str(file))
    answer = json.loads((await terminal.run("plan", "check", str(file), "--json")).output)
    offline = await terminal.run("plan", "check", str(file), "--offline")
    unnamed = await terminal.run("plan", "check", str(file), FIRSTVALUE_API_KEY="wrong")
    async with terminal.rows.adopting():
        published = await terminal.run("plan", "publish", str(file))
    valid, *told = checked.output.splitlines()
    assert valid == "b2b-saas is valid: To the first output"
    assert told == published.output.splitlines()[1:]
    assert any(line.startswith("What came before does not count for first_output") for line in told)
    assert "Gone since the version before: first_data." in told
    dropped = "warning: these events come, and the plan asks for them no more: `report.generated`\n"
    assert dropped in checked.complaint
    assert dropped in published.complaint
    assert (answer["milestones_removed"], answer["events_dropped"]) == (["first_data"], ["report.generated"])
    assert offline.output.splitlines() == [valid]
    assert unnamed.output.splitlines() == [valid]
    assert "what publishing it would do to accounts is not known: " in unnamed.complaint


async def test_published_plans_are_listed_shown_and_retired(terminal: Terminal, tmp_path: Path) -> None:
    """What counts from now on is named; a published plan reads as English; nothing ends without --yes."""
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN_TEXT.replace("milestones:\n", "milestones:\n  crowd: {when: {people: 3}, required: false}\n"))
    async with terminal.rows.adopting():
        published = await terminal.run("plan", "publish", str(file))
        await terminal.rows.apply("c", *(usage("c", name, day=0) for name in ("data.ingested", "report.generated")))
        file.write_text(file.read_text().replace(", required: false", ""))
        harder = await terminal.run("plan", "publish", str(file))
        listed = await terminal.run("plan", "list")
        shown = await terminal.run("plan", "show", "b2b-saas")
        asked = await terminal.run("plan", "retire", "b2b-saas")
        retired = await terminal.run("plan", "retire", "b2b-saas", "--yes")
    ended = await terminal.run("plan", "show", "b2b-saas")
    assert (ended.status, ended.output) == (0, shown.output)
    assert ended.complaint.startswith("b2b-saas is retired: ")
    assert "What came before does not count for crowd:" in published.output
    assert "b2b-saas" in listed.output
    assert "Newly required: crowd. Activated accounts without that, 1 at most, are on the way again." in harder.output
    assert "Crowd: reached by 3 people." in shown.output
    assert asked.status == USAGE
    assert "Say so with --yes" in asked.complaint
    assert retired.output == "b2b-saas is retired\n"
    unknown = await terminal.run("plan", "show", "nothing")
    assert unknown.status == REFUSED
    assert "plan_unknown" in unknown.complaint
    assert "`firstvalue plan list`" in unknown.complaint
    unasked = await terminal.run("plan", "retire", "nothing")
    assert (unasked.status, "--yes" in unasked.complaint) == (REFUSED, False)


async def test_versions_are_listed_shown_and_compared(terminal: Terminal, tmp_path: Path) -> None:
    """By number or hash; what differs is said in the sentences of the plan, and of a file before it is published."""
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN_TEXT.replace("week 1", "week 2").replace("data.ingested", "data.loaded"))
    alone = await terminal.run("plan", "diff", "b2b-saas")
    before = await terminal.run("plan", "diff", str(file))
    async with terminal.rows.adopting():
        await terminal.run("plan", "publish", str(file))
    listed = json.loads((await terminal.run("plan", "list", "b2b-saas", "--json")).output)["data"]
    by_number, by_hash = [
        (await terminal.run("plan", "show", "b2b-saas", "--version", one)).output
        for one in ("1", listed[1]["hash"][:12])
    ]
    between = await terminal.run("plan", "diff", "b2b-saas")
    back = json.loads((await terminal.run("plan", "diff", "b2b-saas", "2", "1", "--json")).output)
    same = await terminal.run("plan", "diff", str(file))
    assert (alone.status, "nothing to compare it with" in alone.complaint) == (REFUSED, True)
    said = [
        "Milestones",
        "- First data: reached by data.ingested; due in week 1 (7 days for smb, 14 days for big).",
        "+ First data: reached by data.loaded; due in week 2 (14 days for smb, 28 days for big).",
    ]
    assert before.output.splitlines() == [f"b2b-saas version 1 and {file}", "", *said]
    assert between.output.splitlines() == ["b2b-saas version 1 and b2b-saas version 2", "", *said]
    assert [one["version"] for one in listed] == [2, 1]
    assert by_number == by_hash
    assert "First data: reached by data.ingested" in by_number
    assert (back["from"]["version"], back["to"]["version"]) == (2, 1)
    assert [one["removed"] for one in back["differences"]] == [[said[2][2:]]]
    assert same.output == f"b2b-saas version 2 and {file} say the same\n"
    for words, complaint in (
        (
            ["show", "b2b-saas", "--version", "7"],
            "no version 7 to be read: `firstvalue plan list b2b-saas`",
        ),
        (["show", "b2b-saas", "--version", "zz"], "zz is no version: no hash begins so."),
        (["diff", "nothing"], "No plan nothing is published"),
    ):
        refused = await terminal.run("plan", *words)
        assert (refused.status, refused.output) == (REFUSED, "")
        assert complaint in refused.complaint
    misused = await terminal.run("plan", "show", str(file), "--version", "1")
    assert misused.status == USAGE


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
