"""Published SDKs against a running ingest: what arrives, what each does with an answer, and what a restart costs."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.product_event import ProductEvent
from tests.clients.front import RETRY_AFTER_SECONDS, TROUBLES, Door, Front, problems_of, running_front
from tests.clients.published import BROWSER, FOLDER, PAGES, SDKS, command_of, events_of_job, send
from tests.integration.ingest_process import IngestProcess, end
from tests.integration.topic_reader import events_of
from tests.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "sending-events.md"
ROWS = re.findall(r"^\| `([a-z@/-]+)` \|(.+)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
PAGE_SAYS = {
    sdk: dict(zip(TROUBLES[1:], (cell.strip() for cell in cells.split("|")), strict=True)) for sdk, cells in ROWS
}
EXAMPLES = re.findall(r"^```(python|js|sh)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
EVENTS = 3
RESTART_EVENTS = 40
# Long enough for the second try of a browser SDK.
LINGER_MS = 12_000


@dataclass(frozen=True)
class Keys:
    """One for servers, one for the page of the front."""

    server: str
    page: str


@dataclass(frozen=True)
class Sent:
    """What the SDKs told, and what is in the log, by account."""

    errors: dict[str, dict[str, list[str]]]
    events: dict[str, list[ProductEvent]]


def key_for(service: IngestProcess, **fields: Any) -> str:
    """A new key that writes events."""
    answer = service.post("/v1/keys", {"name": "sdk", "scopes": ["events:write"], **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def by_account(kafka_bootstrap: str, topic: str) -> dict[str, list[ProductEvent]]:
    """All events of the topic."""
    with ThreadPoolExecutor(1) as pool:
        events = pool.submit(asyncio.run, events_of(kafka_bootstrap, topic)).result()
    found: dict[str, list[ProductEvent]] = {}
    for event in events:
        found.setdefault(event.account_id, []).append(event)
    return found


@pytest.fixture(scope="module")
def front(service: IngestProcess) -> Iterator[Front]:
    """A door for each SDK and trouble."""
    doors = {f"{sdk}.{trouble}": Door(trouble) for sdk in SDKS for trouble in TROUBLES}
    with running_front(service.url, doors, PAGES) as running:
        yield running


@pytest.fixture(scope="module")
def keys(service: IngestProcess, front: Front) -> Keys:
    """Both keys."""
    return Keys(key_for(service), key_for(service, origins=[f"http://127.0.0.1:{front.page_port}"]))


def commands_of(
    front: Front, keys: Keys, jobs: Callable[[str], list[dict[str, Any]]], *, node: str, chromium: str
) -> dict[str, list[str]]:
    """A program for each SDK, with its jobs and the key that suits it."""
    commands = {}
    for sdk in SDKS:
        with_key = [{**job, "key": keys.page if sdk in BROWSER else keys.server} for job in jobs(sdk)]
        page = f"http://127.0.0.1:{front.page_port}/{sdk}/"
        commands[sdk] = command_of(sdk, with_key, node=node, chromium=chromium, page=page)
    return commands


@pytest.fixture(scope="module")
def sent(front: Front, keys: Keys, kafka_bootstrap: str, topic_prefix: str, node: str, chromium: str) -> Sent:
    """Every SDK through every trouble, all at the same time."""

    def jobs(sdk: str) -> list[dict[str, Any]]:
        return [
            {
                "host": front.doors[f"{sdk}.{trouble}"].url,
                "account": f"{sdk}.{trouble}",
                "events": events_of_job(f"{sdk}.{trouble}", EVENTS if trouble == "none" else 1),
                "about": trouble == "none",
                "linger_ms": LINGER_MS,
            }
            for trouble in TROUBLES
        ]

    errors = send(commands_of(front, keys, jobs, node=node, chromium=chromium))
    return Sent(errors, by_account(kafka_bootstrap, f"{topic_prefix}product.events.v1"))


@pytest.mark.parametrize("sdk", SDKS)
def test_events_arrive_with_account_time_and_id(front: Front, sent: Sent, sdk: str) -> None:
    """As the SDK was called; with it who the account and the person are."""
    account = f"{sdk}.none"
    events = sent.events.get(account, [])
    seen = problems_of(front.doors[account]), sent.errors[sdk][account]
    # An SDK whose patience ended before the answer came has sent again, under the same ids.
    tracks = {event.message_id: event for event in events if event.type == "track"}
    wanted = {event["id"]: datetime.fromisoformat(event["at"]) for event in events_of_job(account, EVENTS)}
    assert sorted(event.occurred_at for event in tracks.values()) == sorted(wanted.values()), seen
    assert {event.user_id for event in tracks.values()} == {"kim"}
    # RudderStack's browser SDK makes its ids itself.
    assert sdk == "analytics-js" or tracks.keys() == wanted.keys()
    groups = [event for event in events if event.type == "group"]
    assert {json.loads(bytes(event.body))["traits"]["segment"] for event in groups} == {"smb"}


def test_the_page_tells_of_every_sdk_and_answer() -> None:
    """A cell that nobody tries would be a claim."""
    assert set(PAGE_SAYS) == set(SDKS)
    assert all(list(cells) == list(TROUBLES[1:]) for cells in PAGE_SAYS.values())


@pytest.mark.parametrize("trouble", TROUBLES[1:])
@pytest.mark.parametrize("sdk", SDKS)
def test_sdks_do_with_an_answer_what_the_page_says(front: Front, sent: Sent, sdk: str, trouble: str) -> None:
    """One trouble, then good answers."""
    door = front.doors[f"{sdk}.{trouble}"]
    delivered = bool(sent.events.get(f"{sdk}.{trouble}"))
    said = PAGE_SAYS[sdk][trouble]
    seen = f"delivered: {delivered}, {problems_of(door)}, {[at - door.sent_at[0] for at in door.sent_at]}"
    assert delivered == (said in ("again", "after Retry-After")), seen
    if said == "after Retry-After":
        assert door.sent_at[1] - door.sent_at[0] > RETRY_AFTER_SECONDS - 0.1, seen


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_of_the_page_work(
    service: IngestProcess, keys: Keys, kafka_bootstrap: str, topic_prefix: str, node: str, tmp_path: Path, number: int
) -> None:
    """Those for servers are run, and their events arrive; those for pages are parsed."""
    language, code = EXAMPLES[number]
    code = code.replace("https://ingest.vendor.example", service.url).replace("fv_KEY", keys.server)
    code = code.replace("acme", f"example-{number}")
    programs = {"python": [sys.executable, "-c", code], "js": [node, "--input-type=module", "-e", code]}
    if language == "js" and ("AnalyticsBrowser" in code or "analytics-js" in code):
        file = tmp_path / "page.mjs"
        file.write_text(code, encoding="utf-8")
        subprocess.run([node, "--check", str(file)], check=True, timeout=60)
        return
    program = programs.get(language, ["sh", "-c", code])
    done = subprocess.run(program, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"example-{number}" in by_account(kafka_bootstrap, f"{topic_prefix}product.events.v1"), done.stdout


def test_a_restart_of_ingest_loses_nothing(
    service: IngestProcess,
    front: Front,
    keys: Keys,
    kafka_bootstrap: str,
    topic_prefix: str,
    node: str,
    chromium: str,
) -> None:
    """All SDKs are sending while ingest is stopped and started again where it was."""

    def jobs(sdk: str) -> list[dict[str, Any]]:
        account = f"{sdk}.restart"
        return [
            {
                "host": service.url,
                "account": account,
                "events": events_of_job(account, RESTART_EVENTS),
                "every_ms": 700 if sdk in BROWSER else 300,
                "patience": True,
                "linger_ms": 20_000,
            }
        ]

    commands = commands_of(front, keys, jobs, node=node, chromium=chromium)
    topic = f"{topic_prefix}product.events.v1"

    def wait_for(sdks: tuple[str, ...]) -> None:
        accounts = {f"{sdk}.restart" for sdk in sdks}
        wait_until(lambda: accounts <= by_account(kafka_bootstrap, topic).keys(), timeout_seconds=60)

    with ThreadPoolExecutor(2) as pool:
        # Browsers take longest to start, and ask for their settings before they send.
        sending = [pool.submit(send, {sdk: commands[sdk] for sdk in BROWSER})]
        wait_for(BROWSER)
        sending.append(pool.submit(send, {sdk: commands[sdk] for sdk in SDKS if sdk not in BROWSER}))
        wait_for(SDKS)
        assert end(service) == 0
        restarted = replace(service, process=start_again(service))
        try:
            restarted.wait_ready()
            errors = [told.result() for told in sending]
        finally:
            end(restarted)
    found = by_account(kafka_bootstrap, topic)
    # RudderStack's Node SDK gives up at the first 503 of a replica that stops; the page says so.
    patient = [sdk for sdk in SDKS if sdk != "rudder-sdk-node"]
    ids = {sdk: {event.message_id for event in found.get(f"{sdk}.restart", [])} for sdk in patient}
    assert {sdk: RESTART_EVENTS - len(ids[sdk]) for sdk in patient} == dict.fromkeys(patient, 0), errors


def start_again(service: IngestProcess) -> subprocess.Popen[bytes]:
    """The same service with the same ports."""
    with service.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.ingest"], env=service.environment, stdout=log, stderr=log
        )
