"""The README's tour and docs/plans.md, typed as they stand: what they show is what is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented import is_shown, shown_files, steps, write_files
from tests.running_stack import RunningStack

ROOT = Path(__file__).parents[2]
PLANS = (ROOT / "docs" / "plans.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The stack is the module's own, and a tail without end would never end.
INSTEAD = {
    "make setup && . .venv/bin/activate": "true",
    "firstvalue signal tail --from-start": "firstvalue signal tail --from-start --no-follow",
    "firstvalue down": "firstvalue status",
}


def typed(command: str, stack: RunningStack, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in a shell, in a folder of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ("bash", "-c", command),
        env=stack.environment | {"PATH": path},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_first_plan_step_by_step(stack: RunningStack, tmp_path: Path) -> None:
    """From no event to a published plan and imported customers."""
    write_files(PLANS, tmp_path)
    assert {"mine.yaml", "mine.example.yaml", "customers.csv"} <= set(shown_files(PLANS))
    found = list(steps(PLANS))
    assert len(found) > 12
    for step in found:
        command = step.command
        if command.startswith("firstvalue event names"):
            # A moment after the events were accepted, the engine knows their names.
            command = f"until firstvalue event names | grep -q Report; do :; done; {command}"
        done = typed(command, stack, tmp_path)
        assert done.returncode == 0, f"{step.command}\n{done.stdout}"
        assert is_shown(done.stdout, step.output), f"{step.command}\n{done.stdout}\nis not\n{step.output}"


def test_the_tour_of_the_readme(stack: RunningStack, tmp_path: Path) -> None:
    """Line by line in one shell, so that later lines have what earlier ones set."""
    (tour,) = [block for block in README.split("```console\n") if "firstvalue up --detach" in block]
    commands = [step.command for step in steps(f"```console\n{tour.partition('```')[0]}```")]
    assert len(commands) > 8
    script = ["set -eo pipefail"]
    for command in commands:
        plain = command.partition("  #")[0].strip()
        line = INSTEAD.get(plain, command)
        # The engine knows of an account a moment after the answer of ingest.
        script.append(f"until {line}\ndo :; done" if plain.startswith("firstvalue account explain") else line)
    assert sum(line in INSTEAD.values() for line in script) == len(INSTEAD)
    done = typed("\n".join(script), stack, tmp_path)
    assert done.returncode == 0, done.stdout
    assert '"accepted":1' in done.stdout
    assert "acme" in done.stdout


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
