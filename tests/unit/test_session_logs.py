"""The search through all logs of a session finds what it is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.runtime.access import generate_key
from tests.session_logs import forbidden


@pytest.mark.parametrize(
    ("told", "is_found"),
    [
        ("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", True),
        ("postgresql://firstvalue:example@127.0.0.1/firstvalue", True),
        ("\x1b[2J", True),
        ("postgresql://127.0.0.1/firstvalue", False),
        ("invalid fv_", False),
    ],
    ids=["webhook secret", "password", "escape", "address", "nothing"],
)
def test_what_is_found(told: str, is_found: bool, tmp_path: Path) -> None:
    """In lines of services, wherever their files are."""
    assert _is_found(told, tmp_path) is is_found


def test_a_key_is_found(tmp_path: Path) -> None:
    """As they are made now."""
    assert _is_found(generate_key()[1], tmp_path)


def _is_found(told: str, folder: Path) -> bool:
    log = folder / "below" / "ingest.log"
    log.parent.mkdir()
    line = json.dumps({"service": "ingest", "event": "seen", "reason": told}, ensure_ascii=False)
    log.write_text(line.replace("\\u001b", "\x1b") + "\n")
    found = list(forbidden(folder))
    # Or the search at the end of this session would find it as well.
    log.unlink()
    return bool(found)
