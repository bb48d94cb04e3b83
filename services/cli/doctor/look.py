"""One look at everything that the checks judge: each answer of the services, or why there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import httpx

from services.cli.addresses import ServiceName, Target, find
from services.cli.client import Client, segment
from services.cli.doctor.servers import DatabaseSeen, broker_answers, see_database
from services.cli.output import Failed, Hung, Misused, Refused, Unreachable

SERVICES: tuple[ServiceName, ...] = ("ingest", "engine", "notifier")
_ROWS_MAX = 200
_NAMES_MAX = 10_000
# Of one answer, and of everything that is asked, which is asked at the same time.
_ANSWER_SECONDS = 5.0
LOOK_SECONDS_MAX = 6.0
# Deliveries that are younger are on their way.
_NEW = timedelta(minutes=2)

_Found = TypeVar("_Found")
_Question = Callable[[Client], Any]


@dataclass(frozen=True, slots=True)
class Local:
    """The local stack: its folder, what its supervisor recorded (empty when none runs), the ports asked for."""

    folder: Path
    logs: Path
    state: Mapping[str, Any]
    wanted_ports: Mapping[str, int]

    @property
    def ready(self) -> bool:
        """Whether everything of it once ran."""
        return bool(self.state.get("ready"))


@dataclass(slots=True)
class Look:
    """What was seen; an answer is absent when its service did not give it, and `failures` has why. The `slow` gave some
    of theirs in time and not all."""

    now: datetime
    targets: dict[ServiceName, Target] = field(default_factory=dict)
    failures: dict[ServiceName, list[Failed]] = field(default_factory=dict)
    slow: list[ServiceName] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    ready: dict[ServiceName, dict[str, bool]] = field(default_factory=dict)
    live: dict[ServiceName, dict[str, bool]] = field(default_factory=dict)
    local: Local | None = None
    write_key: str | None = None
    write_key_failure: Failed | None = None
    database_url: str | None = None
    database: DatabaseSeen | None = None
    kafka: str | None = None
    kafka_answers: bool | None = None

    def reached(self, service: ServiceName) -> bool:
        """Whether it answered anything at all."""
        return service in self.targets and self.absence(service) is None

    def absence(self, service: ServiceName) -> Unreachable | None:
        """Why it could not be asked; one that asks to come back later has answered."""
        absences = (one for one in self.failures.get(service, ()) if isinstance(one, Unreachable))
        return next((one for one in absences if one.retry_after_seconds is None), None)


def local_stack(urls: Mapping[ServiceName, str | None]) -> Local | None:
    """The local stack, unless the services asked for are others."""
    from deploy.local.data_folder import DataFolder
    from deploy.local.places import data_path

    data = DataFolder(data_path(os.environ))
    state: dict[str, Any] = data.read_state()
    if data.lock_holder() is None or state.get("supervisor") != data.lock_holder():
        state = {}
    connection = state.get("connection") or {}
    if any(url and url.rstrip("/") != (connection.get(name) or {}).get("url") for name, url in urls.items()):
        return None
    variables = [f"FIRSTVALUE_{name.upper()}_{kind}" for name in SERVICES for kind in ("PORT", "METRICS_PORT")]
    wanted = {name: int(os.environ[name]) for name in variables if os.environ.get(name, "").isdecimal()}
    return Local(data.path, data.logs, state, {name: port for name, port in wanted.items() if port})


def look_around(
    urls: Mapping[ServiceName, str | None], *, key: str | None, write_key: str | None, local: Local | None
) -> Look:
    """Ask everything once, within LOOK_SECONDS_MAX; raises nothing but Misused, for an address that is none."""
    look = Look(now=datetime.now(UTC), local=local, write_key=write_key)
    connection: Mapping[str, Any] = (local.state.get("connection") or {}) if local else {}
    look.database_url = os.environ.get("DATABASE_URL") or connection.get("database")
    look.kafka = os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or connection.get("kafka")
    for service in SERVICES:
        try:
            look.targets[service] = find(service, url=urls[service], key=key)
        except Unreachable as failure:
            look.failures.setdefault(service, []).append(failure)
        except Misused:
            if urls[service] is None or key is not None:
                raise
            raise Misused("No API key: give --key, or set FIRSTVALUE_API_KEY; an admin key sees most.") from None
    _ask_all(look, connection)
    # What is still being asked may come in while this is judged.
    return replace(
        look,
        failures=_in_order(look.failures),
        answers=dict(look.answers),
        ready=_in_order(look.ready),
        live=_in_order(look.live),
    )


def _in_order(found: Mapping[ServiceName, _Found]) -> dict[ServiceName, _Found]:
    """Of the services, whichever answered first."""
    return {service: found[service] for service in SERVICES if service in found}


def _ask_all(look: Look, connection: Mapping[str, Any]) -> None:
    """Each service and server by a thread of its own: one that hangs keeps no other from being asked."""
    questions = _questions(look.now)
    asking = {
        service: Thread(target=_ask_service, args=(look, service, questions[service]), daemon=True)
        for service in SERVICES
    }
    others = [Thread(target=_probe, args=(look, service, connection), daemon=True) for service in SERVICES]
    others += [Thread(target=ask, args=(look,), daemon=True) for ask in (_ask_kafka, _ask_database, _try_write_key)]
    ends_at = time.monotonic() + LOOK_SECONDS_MAX
    for thread in (*asking.values(), *others):
        thread.start()
    for thread in (*asking.values(), *others):
        thread.join(max(0.0, ends_at - time.monotonic()))
    for service, thread in asking.items():
        if not thread.is_alive():
            continue
        if not look.answers.keys().isdisjoint(questions[service]):
            look.slow.append(service)
        else:
            told = f"{service.capitalize()} had not answered after {LOOK_SECONDS_MAX:.0f} s."
            look.failures.setdefault(service, []).append(Hung(told))


def _probe(look: Look, service: ServiceName, connection: Mapping[str, Any]) -> None:
    metrics_url = (connection.get(service) or {}).get("metrics")
    if metrics_url is None:
        return
    for path, seen in (("readyz", look.ready), ("livez", look.live)):
        with suppress(httpx.HTTPError, ValueError, KeyError):
            url = f"{metrics_url.removesuffix('metrics')}{path}"
            seen[service] = httpx.get(url, timeout=_ANSWER_SECONDS, trust_env=False).json()["checks"]


def _ask_kafka(look: Look) -> None:
    if look.kafka is not None:
        look.kafka_answers = False
        look.kafka_answers = broker_answers(look.kafka, seconds=_ANSWER_SECONDS)


def _ask_database(look: Look) -> None:
    if look.database_url is not None:
        look.database = DatabaseSeen(failure=f"no answer within {LOOK_SECONDS_MAX:.0f} s")
        look.database = see_database(look.database_url, seconds=_ANSWER_SECONDS)


def _try_write_key(look: Look) -> None:
    target = look.targets.get("ingest")
    if look.write_key is None or target is None:
        return
    look.write_key_failure = Hung(f"no answer within {LOOK_SECONDS_MAX:.0f} s")
    try:
        # The key is judged before what it sends, and nothing is sent.
        product = Client(Target("ingest", target.url, look.write_key), answer_seconds=_ANSWER_SECONDS)
        product.ask("POST", "/v1/batch", body={"batch": []})
    except Failed as failure:
        taken = isinstance(failure, Refused) and failure.code == "batch_empty"
        look.write_key_failure = None if taken else failure


def _ask_service(look: Look, service: ServiceName, questions: Mapping[str, _Question]) -> None:
    """Each answer under its name; a service that is not there is asked once."""
    for name, ask in questions.items():
        if not look.reached(service):
            return
        try:
            look.answers[name] = ask(Client(look.targets[service], answer_seconds=_ANSWER_SECONDS))
        except Failed as failure:
            look.failures.setdefault(service, []).append(failure)


def _questions(now: datetime) -> dict[ServiceName, dict[str, _Question]]:
    """What each service is asked; what takes many requests comes last."""
    events = partial(_data, path="/v1/events")
    deliveries = partial(_data, path="/v1/deliveries", limit=_ROWS_MAX)
    return {
        "ingest": {
            "accepted": partial(events, status="accepted", limit=1),
            "unresolved": partial(events, status="unresolved", limit=_ROWS_MAX),
            "dead": partial(events, status="dead", limit=_ROWS_MAX),
        },
        "engine": {
            "partitions": partial(_data, path="/v1/partitions"),
            "dead_letters": partial(_data, path="/v1/dead-letters", limit=_ROWS_MAX),
            "plans": _plans,
            "names": lambda client: list(client.rows("/v1/catalog", limit=_NAMES_MAX)),
        },
        "notifier": {
            "endpoints": lambda client: list(client.rows("/v1/endpoints", limit=_ROWS_MAX)),
            "held": partial(deliveries, status="held"),
            "waiting": partial(deliveries, status="pending", until=(now - _NEW).isoformat()),
        },
    }


def _plans(client: Client) -> list[dict[str, Any]]:
    """Live plans, each with its source."""
    plans = [row for row in client.rows("/v1/plans", limit=_ROWS_MAX) if row.get("live") and not row.get("retired")]
    return [{**row, "source": _source(client, row["plan"])} for row in plans]


def _source(client: Client, plan: str) -> str:
    newest = client.ask("GET", f"/v1/plans/{segment(plan)}")
    return str(newest["source"])


def _data(client: Client, *, path: str, **parameters: Any) -> Any:
    return client.ask("GET", path, parameters=parameters)["data"]
