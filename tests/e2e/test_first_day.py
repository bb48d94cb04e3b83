"""The first day with a stack: what doctor says at each step, an import, mistakes, and what is broken on purpose."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.data_folder import DataFolder
from deploy.local.loopback_http import answers_ok
from deploy.prometheus.rules import rule_groups
from services.cli.doctor import local_checks
from tests.programs import path_of
from tests.running_stack import Done, RunningStack
from tests.waiting import wait_until

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
Run = Callable[..., Done]

PLAN = """plan: first
events:
  report.generated: [Report Generated]
  data.ingested: [Data Imported]
milestones:
  first_data: {due: week 2, when: data.ingested}
  value: {due: week 4, when: report.generated}
first_value: value
"""


def findings(firstvalue: Run, *words: str) -> dict[str, list[dict[str, str]]]:
    """What doctor finds that is not well, by check; its status agrees."""
    done = firstvalue("doctor", "--json", *words)
    told = json.loads(done.out)
    assert done.status == (0 if told["healthy"] else REFUSED), done.err
    found: dict[str, list[dict[str, str]]] = {}
    for one in told["findings"]:
        if one["level"] != "ok":
            found.setdefault(one["check"], []).append(one)
    return found


def eventually(firstvalue: Run, condition: Callable[[dict[str, list[dict[str, str]]]], bool]) -> dict[str, Any]:
    """The findings once `condition` holds."""
    deadline = time.monotonic() + 60
    while True:
        found = findings(firstvalue)
        if condition(found):
            return found
        assert time.monotonic() < deadline, found


def test_an_empty_stack(firstvalue: Run) -> None:
    """No plan, no events, no endpoint: two problems and a note, each with the command that mends it."""
    found = findings(firstvalue)
    assert set(found) == {"events", "plans", "endpoints"}
    assert "firstvalue event send" in found["events"][0]["do"]
    assert "firstvalue plan new" in found["plans"][0]["do"]
    assert found["endpoints"][0]["level"] == "note"
    text = firstvalue("doctor")
    assert text.status == REFUSED
    assert text.out.splitlines()[-1] == "2 problems"
    assert "\x1b" not in text.out


def test_names_that_no_event_matches_then_a_healthy_stack(firstvalue: Run, tmp_path: Path) -> None:
    """First a misspelt name with the nearest that came, then all is well."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("[Report Generated]", "[Report Generatd]").replace("[Data Imported]", "[Data In]"))
    assert firstvalue("plan", "publish", str(plan)).status == 0
    assert firstvalue("event", "send", "Report Generated", "--account", "acme", "--user", "kim").status == 0
    found = eventually(firstvalue, lambda found: "names" in found)
    assert set(found) == {"names", "endpoints"}
    (name,) = found["names"]
    assert name["level"] == "problem"
    assert "(nearest: `Report Generated`)" in name["message"]
    plan.write_text(PLAN)
    assert firstvalue("plan", "publish", str(plan)).status == 0
    assert firstvalue("event", "send", "Data Imported", "--account", "acme", "--user", "kim").status == 0
    eventually(firstvalue, lambda found: set(found) == {"endpoints"})
    assert firstvalue("doctor").out.splitlines()[-1] == "no problems"


def test_import_from_a_spreadsheet(firstvalue: Run, stack: RunningStack, tmp_path: Path) -> None:
    """Checked, refused, sent; the same file again changes nothing, not even what was set by hand since."""
    file = tmp_path / "customers.csv"
    rows = "".join(
        f"account-{number};Müller {number};{number};2026-0{number % 9 + 1}-01;\r\n" for number in range(1200)
    )
    content = "account_id;name;seats;contract_start;reached.value\r\n" + rows + "late;Late;7;2026-01-01;2026-02-03\r\n"
    file.write_text(content.replace("2026-02-03", "3.2.2026"), encoding="utf-8-sig", newline="")
    for words in ((), ("--check",)):
        refused = firstvalue("account", "import", str(file), *words)
        assert refused.status == REFUSED
        assert "line 1202, column reached.value: write the date like 2026-11-01" in refused.err
        assert "1201 rows, 1 wrong; nothing was sent" in refused.out
    file.write_text(content, encoding="utf-8-sig", newline="")
    hour_ago = time.time() - 3600
    os.utime(file, (hour_ago, hour_ago))
    assert "1201 rows, nothing wrong; nothing was sent" in firstvalue("account", "import", str(file), "--check").out
    assert firstvalue("account", "show", "late").status == REFUSED
    done = firstvalue("account", "import", str(file))
    assert (done.status, done.out.splitlines()[-1]) == (0, "1201 accounts set")
    late = json.loads(firstvalue("account", "show", "late", "--json").out)
    assert late["traits"]["seats"] == 7
    assert late["plans"][0]["first_value_at"] == "2026-02-03T00:00:00Z"
    assert json.loads(firstvalue("account", "show", "account-7", "--json").out)["traits"]["name"] == "Müller 7"
    assert firstvalue("account", "set", "account-7", "seats=99").status == 0
    again = json.loads(firstvalue("account", "import", str(file), "--json").out)
    assert (again["rows"], again["sent"], again["rejected"], again["errors"]) == (1201, 1201, 0, [])
    assert json.loads(firstvalue("account", "show", "account-7", "--json").out)["traits"]["seats"] == 99


def test_import_refuses_what_it_cannot_use(firstvalue: Run) -> None:
    """A key without the scope, a file that is none, a column that nobody named."""
    assert firstvalue("account", "import", "/nowhere.csv").status == USAGE
    named = firstvalue("account", "import", "-", given=b"id,name\n1,a\n")
    assert (named.status, "--map 'COLUMN=account_id'" in named.err) == (USAGE, True)
    key = firstvalue("key", "create", "reader", "--scope", "accounts:read").out.strip()
    refused = firstvalue("account", "import", "-", "--key", key, given=b"account_id,name\n1,a\n")
    assert (refused.status, "scope_missing" in refused.err) == (REFUSED, True)
    good = firstvalue("account", "import", "-", "--skip-bad", "--no-wait", given=b"account_id,a\n,1\ngood-1,2\n")
    assert (good.status, good.out.splitlines()[-1]) == (REFUSED, "1 account set, 1 row left out")


def test_keys(firstvalue: Run) -> None:
    """One that is wrong, one that was revoked, one without the scope; the product's own key as well."""
    key = firstvalue("key", "create", "reader", "--scope", "accounts:read").out.strip()
    assert "admin key" in findings(firstvalue, "--key", key)["key"][0]["do"]
    assert "write_key" not in findings(
        firstvalue, "--write-key", firstvalue("key", "create", "w", "--scope", "events:write").out.strip()
    )
    assert "events:write" in findings(firstvalue, "--write-key", key)["write_key"][0]["do"]
    assert firstvalue("key", "revoke", key.split("_")[1], "--yes").status == 0
    assert "revoked" in findings(firstvalue, "--key", key)["key"][0]["message"]
    assert "unknown" in findings(firstvalue, "--write-key", key)["write_key"][0]["message"]


def test_refused_and_unresolved_events(firstvalue: Run) -> None:
    """With the most frequent names, and what to change in the product."""
    lost = {"event": "Lost", "userId": "nobody-knows"}
    bad = {"event": "Bad", "userId": "u", "context": {"groupId": "undefined"}}
    given = "\n".join(json.dumps(one) for one in (lost, lost, bad)).encode()
    firstvalue("event", "send", "--file", "-", given=given)
    found = findings(firstvalue)
    everything = [one for check in ("unresolved", "dead") for one in found.get(check, [])]
    (without_account,) = [one for one in everything if "Lost (2)" in one["message"]]
    assert "context.groupId" in without_account["do"]
    assert any("account_invalid: Bad (1)" in one["message"] for one in found["dead"])


def test_status_at_one_glance(firstvalue: Run) -> None:
    """Health, lag and counts, for people and for programs."""
    text = firstvalue("status").out
    assert "plan first  " in text
    assert all(f"{service}  " in text for service in ("ingest", "engine", "notifier"))
    assert "running, " in text
    glance = json.loads(firstvalue("status", "--json").out)["glance"]
    assert glance["services"] == {"ingest": [], "engine": [], "notifier": []}
    assert glance["events"]["names"] >= 2
    assert sum(glance["accounts"]["first"].values()) > 1_000


def test_prometheus_watches_the_stack(firstvalue: Run, stack: RunningStack) -> None:
    """It scrapes the three services and knows every rule; killed, it comes back at the same address."""
    path_of("prometheus")
    url = stack.connection["prometheus"]["url"]
    services = ("ingest", "engine", "notifier")
    wait_until(
        lambda: healthy_targets(url) == {f"firstvalue-{one}": stack.connection[one]["metrics"] for one in services}
    )
    groups = httpx.get(f"{url}/api/v1/rules").json()["data"]["groups"]
    loaded = {group["name"]: len(group["rules"]) for group in groups}
    assert loaded == {group["name"]: len(group["rules"]) for group in rule_groups()["groups"]}
    assert f"prometheus  {url}\n" in firstvalue("status").out

    def recorded() -> dict[str, Any]:
        state = {one["name"]: one for one in DataFolder(stack.folder).read_state()["processes"]}
        found: dict[str, Any] = state["prometheus"]
        return found

    os.kill(recorded()["pid"], signal.SIGKILL)
    wait_until(lambda: recorded()["restarts"] == 1)
    wait_until(lambda: answers_ok(f"{url}/-/ready"))


def healthy_targets(url: str) -> dict[str, str]:
    """The address that each job scraped well just now."""
    targets = httpx.get(f"{url}/api/v1/targets").json()["data"]["activeTargets"]
    return {target["scrapePool"]: target["scrapeUrl"] for target in targets if target["health"] == "up"}


def test_endpoints(firstvalue: Run, stack: RunningStack) -> None:
    """One that is switched off."""
    key = {"authorization": f"Bearer {stack.connection['admin_key']}"}
    endpoints = f"{stack.connection['notifier']['url']}/v1/endpoints"
    made = httpx.post(endpoints, json={"url": "http://127.0.0.1:9/hook"}, headers=key).json()
    assert httpx.post(f"{endpoints}/{made['id']}/disable", headers=key).status_code < 300
    (one,) = findings(firstvalue)["endpoints"]
    assert (one["level"], made["id"] in one["do"]) == ("problem", True)
    assert httpx.delete(f"{endpoints}/{made['id']}", headers=key).status_code < 300


def test_a_stack_that_does_not_run(firstvalue: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing answers; the ports that are asked for are taken; there is no room."""
    monkeypatch.setenv("FIRSTVALUE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(local_checks, "FREE_BYTES_MIN", 2**62)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("FIRSTVALUE_INGEST_PORT", str(taken.getsockname()[1]))
        found = findings(firstvalue)
    assert len(found["services"]) == 1
    assert "firstvalue up" in found["services"][0]["do"]
    assert "FIRSTVALUE_INGEST_PORT" in found["ports"][0]["message"]
    assert "MiB are free" in found["disk"][0]["message"]
    elsewhere = findings(firstvalue, "--ingest-url", "http://127.0.0.1:9", "--key", "k")
    assert "FIRSTVALUE_INGEST_URL" in elsewhere["services"][0]["message"]


def test_servers_that_are_away(firstvalue: Run, monkeypatch: pytest.MonkeyPatch, stack: RunningStack) -> None:
    """Where nothing listens; and a database that is at no version at all."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    found = findings(firstvalue)
    assert "127.0.0.1:9" in found["kafka"][0]["message"]
    assert "DATABASE_URL" in found["database"][0]["do"]


async def test_a_stale_schema(
    firstvalue: Run, monkeypatch: pytest.MonkeyPatch, fresh_database: Callable[[str], str]
) -> None:
    """Before `firstvalue migrate`."""
    monkeypatch.setenv("DATABASE_URL", fresh_database("stale"))
    found = await asyncio.to_thread(findings, firstvalue)
    assert len(found["schema"]) == 3
    assert "firstvalue migrate" in found["schema"][0]["do"]
