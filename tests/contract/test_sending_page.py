"""docs/sending-events.md: its examples of HTTP are taken as it says, its code is code."""

from __future__ import annotations

import ast
import re
import shlex
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from services.ingest.bodies import MEMBERS_MAX
from services.ingest.delivery import RECORD_BYTES_MAX
from services.ingest.events import ID_BYTES_MAX, IncomingEvent
from services.ingest.key_documents import PATHS_MAX, LimitsDocument
from services.ingest.origins import ORIGINS_MAX
from services.ingest.processing import DEAD_LETTER_BYTES_MAX
from services.ingest.routes import ROUTE_BY_PATH
from services.ingest.settings import IngestSettings
from services.runtime.access import Scope
from services.runtime.http_protocol import ConnectionLimits
from services.runtime.strict_json import DEPTH_MAX
from tests.unit.ingest.reading import account_of, read_all

TEXT = (Path(__file__).parents[2] / "docs" / "sending-events.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
CURLS = [code for language, code in EXAMPLES if language == "sh"]
PYTHONS = [code for language, code in EXAMPLES if language == "python"]
BOUNDS_OF_REQUESTS = (
    *("BODY_BYTES_MAX", "EVENT_BYTES_MAX", "EVENTS_MAX", "HEADER_SECONDS", "BODY_SECONDS", "ACK_SECONDS"),
    *("CONNECTIONS_MAX", "REQUESTS_MAX", "INFLIGHT_BYTES_MAX"),
)
FIXED = {
    "one event as it is stored, where numbers that are written anew may be longer": f"{RECORD_BYTES_MAX:,} bytes",
    "an id or a name": f"{ID_BYTES_MAX} bytes",
    "objects and arrays inside each other": str(DEPTH_MAX),
    "an integer": "64 bits",
    "parts of a gzip body that are compressed apart": str(MEMBERS_MAX),
    f"headers, at most {ConnectionLimits().headers_max} of them": f"{ConnectionLimits().header_bytes_max:,} bytes",
    "time between two requests of a connection": f"{ConnectionLimits().idle_seconds:.0f} seconds",
    "what is kept of a rejected event": f"{DEAD_LETTER_BYTES_MAX:,} bytes",
}


def test_the_page_has_examples_of_every_kind() -> None:
    """Python, JavaScript for servers and browsers, and curl for each dialect."""
    kinds = [language for language, _ in EXAMPLES]
    assert (kinds.count("python"), kinds.count("js"), kinds.count("sh")) == (4, 5, 4)


@pytest.mark.parametrize("code", CURLS, ids=["track", "batch", "capture", "events"])
def test_what_curl_sends_are_events_of_the_account(code: str) -> None:
    """Each of them, with the key somewhere."""
    words = shlex.split(code.replace("\\\n", " "))
    given: dict[str, list[str]] = {}
    for option, value in pairwise(words):
        given.setdefault(option, []).append(value)
    headers = dict(header.split(": ", 1) for header in given.get("-H", []))
    body = given["-d"][0]
    assert "fv_KEY" in " ".join([body, *given.get("-u", []), *headers.values()])
    url = next(word for word in words if word.startswith("https://"))
    route = ROUTE_BY_PATH[urlsplit(url).path]
    for event in read_all(route.form, body.encode(), type_=route.type, headers=headers):
        assert isinstance(event, IncomingEvent), event
        assert account_of(event) == "acme"
        assert event.user_id == "kim" or route.path == "/v1/events"


@pytest.mark.parametrize("code", PYTHONS, ids=["segment", "rudderstack", "posthog", "cloudevents"])
def test_python_examples_are_python(code: str) -> None:
    """With the host and the key that the page speaks of."""
    ast.parse(code)
    assert "https://ingest.vendor.example" in code
    assert "fv_KEY" in code


def test_the_settings_that_the_page_names_are_there() -> None:
    """By their names in the environment."""
    named = set(re.findall(r"FIRSTVALUE_INGEST_([A-Z_]+)", TEXT))
    assert named
    assert named <= {name.upper() for name in IngestSettings.model_fields}


def test_every_limit_is_told_as_it_is() -> None:
    """With its number and unit: each setting that bounds a request, and what no setting changes."""
    [table] = re.findall(r"^## Limits$.*?^\|---.*?\n(.*?)^$", TEXT, re.MULTILINE | re.DOTALL)
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    defaults = {name.upper(): field.default for name, field in IngestSettings.model_fields.items()}
    told = {setting.removeprefix("FIRSTVALUE_INGEST_"): most for _, most, setting, _ in rows if setting}
    assert told == {name: with_unit(name, defaults[name]) for name in BOUNDS_OF_REQUESTS}
    assert {what: most for what, most, setting, _ in rows if not setting} == FIXED


def test_the_limits_that_a_key_may_have_are_told() -> None:
    """On the page of keys, as they are checked."""
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    told = re.search(r"Up to ([\d,]+) events, ([\d,]+) bytes an event and ([\d,]+) bytes a body", page)
    assert told is not None
    names = ("events_max", "event_bytes_max", "body_bytes_max")
    given = dict(zip(names, (int(number.replace(",", "")) for number in told.groups()), strict=True))
    LimitsDocument(**given)
    for name in names:
        with pytest.raises(ValidationError):
            LimitsDocument(**{name: given[name] + 1})
    assert page.count(f"{ORIGINS_MAX} at most") == page.count(f"{PATHS_MAX} of each at most") == 1


def test_every_scope_of_a_key_is_told() -> None:
    """On the page of keys, in the order in which the command line lists them."""
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+:\w+|admin)` \| ", page, re.MULTILINE) == [str(scope) for scope in Scope]


def with_unit(name: str, most: float) -> str:
    """As the page writes numbers."""
    units = [unit for unit in ("bytes", "seconds") if f"_{unit.upper()}" in name]
    return " ".join([f"{most:,.0f}", *units])
