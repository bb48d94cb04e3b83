"""The commands of all pages, and what they need to be typed on a stack of the tests: values for their placeholders."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import httpx
import typer.main
from aiokafka import AIOKafkaProducer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from deploy.demo.plan import PLAN_ID, plan_text
from deploy.local.data_folder import DataFolder
from deploy.local.postgres import binaries
from schemas.topics import PRODUCT_EVENTS
from services.cli.__main__ import new_command
from tests.documented import Step, commands, mentions
from tests.fakes.engine_records import command_value
from tests.running_stack import RunningStack
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
# Those of docs/plans.md, and the tour of README.md, are typed as the tours that they are.
README, PLANS = ROOT / "README.md", ROOT / "docs" / "plans.md"
PAGES = sorted(
    {*ROOT.glob("docs/*.md"), *ROOT.glob("deploy/runbooks/*.md"), ROOT / "CONTRIBUTING.md", README} - {PLANS}
)

# What cannot be typed here, by how it begins, and why.
NOT_TYPED = {
    "docker ": "needs Docker; tests/e2e/test_deployment.py runs the commands of the file",
    "pip install": "asks a registry; what it would install is in requirements/dev.txt",
    "apt-get install": "changes the machine; `make test-tools` installs the same where it may",
    "python -m": "writes files of the repository; tests/contract compare each with what it would write",
    "pg_restore": "replaces the database of the stack; tests/chaos/disaster.py types it",
    "psql -v ON_ERROR_STOP=1 -d $DATABASE_URL <<'END'\nCREATE ROLE": "roles outlive it; see tests/deployment.py",
    "firstvalue serve": "goes on until it is stopped; tests/e2e/test_deployment.py runs each",
    "firstvalue demo": "lasts minutes; tests/e2e/test_demo.py plays it in shorter days",
    "firstvalue down": "would end the stack that the others need; tests/e2e/test_pipeline.py types it",
    "firstvalue up": "the stack is up; every stack of the tests is begun by it",
}
# What is refused here, and rightly.
REFUSED = {
    "firstvalue ops resume 0 --from earliest": "no partition is stopped; tests/faults/test_engine_resume.py stops some",
    'curl -s "$FIRSTVALUE_ENGINE_URL/v1/accounts/acme?after=eyIzIjoxfQ" -H "Authorization: Bearer $KEY"': (
        "404 says that the erasure is applied"
    ),
    "firstvalue account show acme": "it is erased",
    "firstvalue doctor": "a record that cannot be applied and endpoints that do not answer are problems",
    "firstvalue endpoint cancel-replay rpl_17": "it has ended; tests/integration/test_notifier_replays.py cancels some",
}
# They last seconds, and change nothing the next time: typed again only where a page shows what they print.
ONCE = ("firstvalue migrate", "firstvalue ops audit")
# Tables of a trouble that is not here: their heads are compared.
TROUBLES = ("firstvalue ops partitions",)
_BEGIN = {"command": "set", "account_id": "acme", "traits": {"segment": "smb", "contract_start": "2026-01-01"}}


@functools.cache
def _command_line() -> Any:
    return typer.main.get_command(new_command())


def shown(page: Path) -> Iterator[Step]:
    """The page's commands, those in the text last; a verb without its arguments is only spoken of."""
    text = page.read_text(encoding="utf-8")
    if page == README:
        text = text.replace(tour(), "")
    yield from commands(text)
    yield from (Step(command, []) for command in mentions(text) if _is_whole(command))


def tour() -> str:
    """The ten lines of README.md."""
    (block,) = re.findall(r"^```console\n\$ make setup.*?^```$", README.read_text(encoding="utf-8"), re.M | re.S)
    return str(block)


def _is_whole(command: str) -> bool:
    if not command.startswith("firstvalue "):
        return "…" not in command
    found, words = _command_line(), shlex.split(command, comments=True)[1:]
    context = found.context_class(found, info_name="firstvalue")
    try:
        with patch.dict(os.environ, KAFKA_BOOTSTRAP_SERVERS="a setting"):
            while isinstance(found, TyperGroup) and words:
                name, found, words = found.resolve_command(context, words)
                assert found is not None
                if isinstance(found, TyperGroup):
                    context = found.context_class(found, info_name=name, parent=context)
                else:
                    found.make_context(name, list(words), parent=context)
    except TyperException:
        return False
    return not isinstance(found, TyperGroup)


def shell(stack: RunningStack) -> dict[str, str]:
    """The environment of whoever has set the project up, and begun the stack."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(binaries()), os.environ["PATH"]])
    return stack.environment | {"PATH": path}


@dataclass
class Values:
    """The stack that pages are typed on; keys, endpoints and deliveries are new for each, because pages end them."""

    stack: RunningStack
    receiver_url: str
    typed_before: set[str] = field(default_factory=set)

    def prepare(self) -> None:
        """One plan live, an account under it with a signal, a record that cannot be applied."""
        for plan in self.ask("engine", "GET", "/v1/plans")["data"]:
            self.ask("engine", "DELETE", f"/v1/plans/{plan['plan']}")
        self.ask("engine", "PUT", f"/v1/plans/{PLAN_ID}", content=plan_text(day="24h").encode())
        self._begin()
        # Not of the account that pages erase, its letters with it.
        asyncio.run(self._append("nobody", command_value("nobody", "no such command", "letter")))
        wait_until(lambda: self.ask("engine", "GET", "/v1/dead-letters")["data"], what="the dead letter")
        wait_until(lambda: self.ask("engine", "GET", "/v1/signals")["data"], what="a signal")

    def _begin(self) -> None:
        """The account is there, also where a page before has erased it."""
        position = self.ask("ingest", "POST", "/v1/commands", _BEGIN)["position"]
        path = f"/v1/accounts/{_BEGIN['account_id']}?after={position}"
        wait_until(lambda: self._answer("engine", "GET", path).is_success, what="the account")

    async def _append(self, account: str, value: bytes) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.stack.environment["KAFKA_BOOTSTRAP_SERVERS"])
        async with producer:
            topic = PRODUCT_EVENTS.named(self.stack.environment["FIRSTVALUE_TOPIC_PREFIX"])
            await producer.send_and_wait(topic, value, key=account.encode())

    async def partition_of_a_signal(self) -> int:
        """One whose ledger has a row."""
        connection = await asyncpg.connect(self.stack.environment["DATABASE_URL"])
        try:
            return int(await connection.fetchval("SELECT part FROM activation.ledger LIMIT 1"))
        finally:
            await connection.close()

    def ask(self, service: str, method: str, path: str, body: Any = None, content: bytes | None = None) -> Any:
        """The answer of a service to the admin key."""
        answer = self._answer(service, method, path, body, content)
        assert answer.is_success, answer.text
        return answer.json()

    def _answer(
        self, service: str, method: str, path: str, body: Any = None, content: bytes | None = None
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.stack.connection['admin_key']}"}
        if content is not None:
            headers["content-type"] = "application/yaml"
        url = f"{self.stack.connection[service]['url']}{path}"
        return httpx.request(method, url, json=body, content=content, headers=headers, timeout=30)

    def environment(self) -> dict[str, str]:
        """Of a shell in which the pages' commands are typed."""
        connection = self.stack.connection
        urls = {f"FIRSTVALUE_{name.upper()}_URL": connection[name]["url"] for name in ("ingest", "engine", "notifier")}
        own = {
            "FV": connection["ingest"]["url"],
            "KEY": connection["admin_key"],
            "FIRSTVALUE_API_KEY": connection["admin_key"],
            "FIRSTVALUE_NOTIFIER_SECRET_KEY": DataFolder(self.stack.folder).secrets()["notifier_secret_key"],
        }
        return shell(self.stack) | urls | own

    def for_page(self, text: str) -> dict[str, str]:
        """By placeholder, of those that `text` has: to make all takes seconds."""
        self._begin()
        return {name: make() for name, make in PageThings(self).by_placeholder().items() if name in text}


class PageThings:
    """What stands for the placeholders of one page, each made when it is first asked for."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def by_placeholder(self) -> dict[str, Callable[[], str]]:
        """In the order in which they are put in; a replay is of nothing when it comes before there is a delivery."""
        stack, receiver_url = self._values.stack, self._values.receiver_url
        return {
            "https://hooks.example.com/firstvalue": lambda: f"{receiver_url}/hook",
            "https://hooks.slack.com/services/…": lambda: f"{receiver_url}/slack",
            "https://ingest.vendor.example": lambda: str(stack.connection["ingest"]["url"]),
            "fv_KEY": lambda: self._key["key"],
            "fv_…": lambda: self._key["key"],
            "http://127.0.0.1:…": lambda: str(stack.connection["ingest"]["url"]),
            "k7f3a2qwmz4tc": lambda: self._key["id"],
            "KEY_ID": lambda: self._key["id"],
            "rpl_17": self._ended_replay,
            "DELIVERY_ID": lambda: self._delivery,
            "ACCOUNT": lambda: "acme",
            "delivery retry ID": lambda: f"delivery retry {self._delivery}",
            " ID": lambda: f" {self._endpoint(receiver_url)}",
            "ep_…": lambda: self._away,
            "dlv_1042": lambda: self._delivery,
            "requeue 7 8 9": self._requeue,
            "republish 2 --from 100 --to 250": self._republish,
            "kafka:9092": lambda: stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
            "2027-01-04": lambda: (datetime.now(UTC) + timedelta(days=30)).date().isoformat(),
            "curl -s": lambda: "curl --fail-with-body -s",
            # What it would do has its own tests, or lasts too long for one.
            "make ": lambda: f"make --dry-run -C {ROOT} ",
        }

    @functools.cached_property
    def _key(self) -> dict[str, str]:
        asked = {"name": "page", "scopes": ["events:write"]}
        return dict(self._values.ask("ingest", "POST", "/v1/keys", asked))

    @functools.cached_property
    def _away(self) -> str:
        return self._endpoint("http://127.0.0.1:9")

    @functools.cached_property
    def _delivery(self) -> str:
        return str(self._values.ask("notifier", "POST", f"/v1/endpoints/{self._away}/ping")["delivery_id"])

    def _endpoint(self, url: str) -> str:
        return str(self._values.ask("notifier", "POST", "/v1/endpoints", {"url": f"{url}/hook"})["id"])

    def _ended_replay(self) -> str:
        asked = {"since": "2026-01-01T00:00:00Z"}
        replay = str(self._values.ask("notifier", "POST", f"/v1/endpoints/{self._away}/replay", asked)["id"])
        path = f"/v1/replays/{replay}"
        wait_until(lambda: self._values.ask("notifier", "GET", path)["status"] != "running", what="it has ended")
        return replay

    def _requeue(self) -> str:
        letters = self._values.ask("engine", "GET", "/v1/dead-letters")["data"]
        return " ".join(["requeue", *(str(one["id"]) for one in letters)])

    def _republish(self) -> str:
        return f"republish {asyncio.run(self._values.partition_of_a_signal())} --from 1 --to 1"


def bound(text: str, values: Mapping[str, str]) -> str:
    """The text with values for its placeholders."""
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def expected(step: Step) -> list[str]:
    """What the page shows of the output, as a pattern; its numbers and ids are examples."""
    lines = step.output[:1] if step.command in TROUBLES else step.output
    return [re.sub(r"\d+|\beyI\w+", "…", line) for line in lines]


def typed(command: str, environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in a shell, in a folder of its own."""
    return subprocess.run(
        ("bash", "-c", command),
        env=dict(environment),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
