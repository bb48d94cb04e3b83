"""The commands of README and docs, typed as they stand: what they show is what is printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.demo.plan import plan_text
from services.cli import output
from tests.documented import is_shown, programs, shown_files, steps, write_files
from tests.e2e.page_commands import (
    NOT_TYPED,
    ONCE,
    PAGES,
    PLANS,
    README,
    REFUSED,
    TROUBLES,
    PageThings,
    Values,
    bound,
    expected,
    shell,
    shown,
    tour,
    typed,
)
from tests.fakes.taker import taking_webhooks
from tests.programs import run_module
from tests.running_stack import Done, RunningStack
from tests.waiting import wait_until

# The stack is the module's own, and a tail without end would never end.
INSTEAD = {
    "make setup && . .venv/bin/activate": "true",
    "firstvalue signal tail --from-start": "firstvalue signal tail --from-start --no-follow",
    "firstvalue down": "firstvalue status",
}


def test_the_first_plan_step_by_step(stack: RunningStack, tmp_path: Path) -> None:
    """From no event to a published plan and imported customers."""
    page = PLANS.read_text(encoding="utf-8")
    write_files(page, tmp_path)
    assert {"mine.yaml", "mine.example.yaml", "customers.csv"} <= set(shown_files(page))
    found = list(steps(page))
    assert len(found) > 12
    for step in found:
        command = step.command
        if command.startswith("firstvalue event names"):
            # A moment after the events were accepted, the engine knows their names.
            command = f"until firstvalue event names | grep -q Report; do :; done; {command}"
        done = typed(command, shell(stack), tmp_path)
        assert done.returncode == 0, f"{step.command}\n{done.stdout}"
        assert is_shown(done.stdout, step.output), f"{step.command}\n{done.stdout}\nis not\n{step.output}"


def test_the_tour_of_the_readme(stack: RunningStack, tmp_path: Path) -> None:
    """Line by line in one shell, so that later lines have what earlier ones set."""
    commands = [step.command for step in steps(tour())]
    assert len(commands) > 8
    script = ["set -eo pipefail"]
    for command in commands:
        plain = command.partition("  #")[0].strip()
        line = INSTEAD.get(plain, command)
        # The engine knows of an account a moment after the answer of ingest.
        script.append(f"until {line}\ndo :; done" if plain.startswith("firstvalue account explain") else line)
    assert sum(line in INSTEAD.values() for line in script) == len(INSTEAD)
    done = typed("\n".join(script), shell(stack), tmp_path)
    assert done.returncode == 0, done.stdout
    assert '"accepted":1' in done.stdout
    assert "acme" in done.stdout


@pytest.fixture(scope="module")
def values(stack: RunningStack) -> Iterator[Values]:
    """What stands for placeholders, on a stack that has something to show."""
    with taking_webhooks() as receiver_url:
        values = Values(stack, receiver_url)
        values.prepare()
        yield values


@pytest.mark.parametrize("page", [page for page in PAGES if any(shown(page))], ids=lambda page: page.stem)
def test_every_command_of_a_page(
    page: Path,
    values: Values,
    firstvalue: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """In the order of the page, by somebody who says yes when asked."""
    monkeypatch.setattr(output, "can_ask", lambda: True)
    for name, value in values.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    write_files(PLANS.read_text(encoding="utf-8"), tmp_path)
    (tmp_path / "events.ndjson").write_text('{"type":"track","event":"Logged In","userId":"kim"}\n', encoding="utf-8")
    if page != README:  # which begins one by `plan new`
        (tmp_path / "plan.yaml").write_text(plan_text(day="24h"), encoding="utf-8")
    placeholders = values.for_page(page.read_text(encoding="utf-8"))
    for step in shown(page):
        if step.command.startswith(tuple(NOT_TYPED)) or (step.command in values.typed_before and not step.output):
            continue
        values.typed_before.update({step.command} & set(ONCE))
        command = bound(step.command, placeholders)
        if command.startswith("firstvalue ") and not set(command) & set("|$>"):
            done = firstvalue(*shlex.split(command, comments=True)[1:], given=b"y\n")
            status, told = done.status, done.out + done.err
        else:
            process = typed(command, values.environment(), tmp_path)
            status, told = process.returncode, process.stdout
        refused = step.command in REFUSED
        assert (status != 0) is refused, f"{command}\n{told}"
        if position := re.search(r'"position":"(\w+)"', told):
            placeholders["eyIzIjoxfQ"] = position.group(1)
        assert is_shown(told, expected(step)), f"{command}\n{told}"


def test_the_programs_that_send_events_do(values: Values, tmp_path: Path) -> None:
    """Those of README.md, and each for servers of docs/sending-events.md, send one; those for browsers are of
    tests/clients."""
    pages = (README, README.parent / "docs" / "sending-events.md")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    text = bound(text, values.for_page(text))
    for_node = [program for program in programs(text, "js") if "-node'" in program]
    for_python = programs(text, "python")
    assert (len(for_python), len(for_node)) == (5, 3)

    def sent() -> int:
        names = values.ask("engine", "GET", "/v1/catalog")["data"]
        known = ("Data Imported", "Report Generated", "report.generated")
        return sum(one["count"] for one in names if one["name"] in known)

    before = sent()
    for program in for_python:
        done = typed(f"python - <<'END'\n{program}END", values.environment(), tmp_path)
        assert done.returncode == 0, f"{program}\n{done.stdout}"
    wait_until(lambda: sent() >= before + len(for_python), what="the events of Python's programs")
    for program in for_node:
        run_module(tmp_path, program, "")
    wait_until(lambda: sent() >= before + len(for_python) + len(for_node), what="the events of Node's programs")


def test_no_more_is_left_out_than_has_to_be(values: Values) -> None:
    """Every exception and every placeholder is one of a page."""
    all_shown = [step.command for page in PAGES for step in shown(page)]
    assert not [begin for begin in NOT_TYPED if not any(one.startswith(begin) for one in all_shown)]
    assert {*REFUSED, *TROUBLES, *ONCE} <= set(all_shown)
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert not [placeholder for placeholder in PageThings(values).by_placeholder() if placeholder not in texts]


@pytest.mark.parametrize(
    ("output", "expected", "shown"),
    [
        ("a  b\nc 17 d\n", ["a b", "c … d"], True),
        ("a b\n", ["b", "a"], False),
        ("x\n", ["…"], True),
        ("x (y)\n", ["x (z)"], False),
    ],
)
def test_what_counts_as_shown(output: str, expected: list[str], shown: bool) -> None:
    """Words in order; `…` is anything."""
    assert is_shown(output, expected) is shown
