"""docs/commands.md shows every command as ingest and the command line take it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import COMMANDS
from services.cli.__main__ import main
from services.ingest.dialects.commands import read_command
from tests.fakes.stand_in_services import StandInServices, stand_in_services

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
LINES = re.findall(r"^\| `firstvalue (.+?)` \| `(\{.+?\})` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
DATES = {"until"}


def body_of(text: str) -> dict[str, Any]:
    """The command without dates, which one form counts from now and the other names."""
    return {name: value for name, value in json.loads(text).items() if name not in DATES}


def given_by(line: str, services: StandInServices, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command line posts."""
    patch.setattr(sys, "argv", ["firstvalue", *shlex.split(line), "--no-wait", "--ingest-url", services.url, "--key=k"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return services.commands[-1]


def test_every_command_is_on_the_page() -> None:
    """In both tables."""
    assert {json.loads(body)["command"] for _, body in LINES} == set(COMMANDS)
    assert set(re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize(("line", "body"), LINES)
def test_both_forms_give_the_same_command(line: str, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And ingest takes it."""
    read_command(body.encode(), bytes_max=65_536, received_at=datetime.now(UTC), may=lambda _: True)
    sure = " --yes" if "erase" in line else ""
    with stand_in_services() as services:
        given = given_by(line + sure, services, monkeypatch)
    assert {name: value for name, value in given.items() if name not in DATES and value is not None} == {
        name: value for name, value in body_of(body).items() if value is not None
    }
