"""`firstvalue plan` against the engine's API over HTTP: checked, published, listed, shown, compared and retired."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.engine_api.partition_rows import PLAN_TEXT, usage
from tests.integration.engine_api.terminal import REFUSED, USAGE, Terminal


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
    listed = json.loads((await terminal.run("plan", "list", "b2b-saas", "--json")).output)
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
        "",
        "In the file",
        "-   first_data:   {due: week 1, when: data.ingested}",
        "+   first_data:   {due: week 2, when: data.loaded}",
    ]
    assert before.output.splitlines() == [f"b2b-saas version 1 and {file}", "", *said]
    assert between.output.splitlines() == ["b2b-saas version 1 and b2b-saas version 2", "", *said]
    assert [one["version"] for one in listed] == [2, 1]
    assert by_number == by_hash
    assert "First data: reached by data.ingested" in by_number
    assert (back["from"]["version"], back["to"]["version"]) == (2, 1)
    assert [one["removed"] for one in back["differences"]] == [[said[2][2:]], [said[6][2:]]]
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
