"""What docker-compose.yml starts, as plain processes on servers of their own, watched by a real Prometheus."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import pytest

from deploy.demo.plan import PLAN_ID, plan_text
from deploy.prometheus.rules import ALERTS
from services.runtime.logs import FIELDS
from tests.contract import metrics_catalogue
from tests.deployment import ADMIN_KEY, DEMO, ROLE_PASSWORD, ROOT, SECRET_KEY, SERVICES, Running, compose
from tests.fakes.taker import taking_webhooks
from tests.programs import promtool
from tests.waiting import wait_until
from tests.watched_deployment import Watched, watched_services

_SCHEMAS = {"ingest": "ingest", "engine": "activation", "notifier": "notifier"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The module's own."""
    with watched_services(tmp_path_factory.mktemp("deployment")) as whole:
        yield whole


def _becomes(service: Running, *, ready: bool) -> None:
    wait_until(lambda: service.ready() is ready, what=f"{service.name} {'' if ready else 'not '}ready")


def _misses_database(service: Running) -> bool:
    return not service.private("/readyz").json()["checks"]["database"]


@contextmanager
def _paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _silent_endpoint() -> Iterator[str]:
    """Accepts connections and never answers."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        listener.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


@pytest.mark.parametrize("name", SERVICES)
def test_the_health_check_of_the_container_passes(watched: Watched, name: str) -> None:
    """Its very command, on this process's port."""
    test = compose()["services"][name]["healthcheck"]["test"]
    script = test[3].replace("9464", str(watched.services[name].private_port))
    assert subprocess.run([sys.executable, *test[2:3], script], check=False).returncode == 0


@pytest.mark.parametrize("name", SERVICES)
def test_promtool_finds_nothing_wrong_with_the_metrics(watched: Watched, name: str) -> None:
    """Names, units and help as Prometheus' own linter wants them; OpenMetrics for whoever asks for it."""
    service = watched.services[name]
    promtool("check", "metrics", text=service.private("/metrics").content)
    answer = service.private("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("name", SERVICES)
def test_labels_hold_what_is_listed_whatever_clients_send(watched: Watched, name: str) -> None:
    """After strange methods, paths and bodies every label still has one of its known values."""
    service = watched.services[name]
    for number in range(20):
        service.ask(f"ODD{number}", f"/made/up/{number}")
        service.ask("POST", "/v1/track", json={"userId": "u", "event": f"e{number}", "type": f"t{number}"})
    bounded = {one.name: one.labels for one in metrics_catalogue.described()[name]}
    routes = {*service.ask("GET", "/openapi.json").json()["paths"], "/openapi.json", "/docs", "other"}
    found = watched.query(f'{{job="firstvalue-{name}",__name__=~"firstvalue_.+"}}')
    assert found
    for metric in (series["metric"] for series in found):
        family = metric["__name__"]
        labels = next(bounded[known] for known in (family, family.rpartition("_")[0]) if known in bounded)
        for label, value in metric.items():
            if labels.get(label):
                assert value in labels[label], (family, label)
            elif label == "route":
                assert value in routes


async def test_no_service_may_change_a_schema_or_read_what_another_keeps(watched: Watched) -> None:
    """They all run under the roles of docs/operations.md; what they share is to look at API keys."""
    connection = await asyncpg.connect(watched.database_url)
    try:
        running = await connection.fetch(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'firstvalue-%'"
        )
        used = await connection.fetch(
            "SELECT rolname, nspname, relname FROM pg_roles, pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE rolname LIKE 'firstvalue\\_%' AND nspname = ANY($1) AND relkind = 'r'"
            " AND has_table_privilege(rolname, c.oid, 'SELECT, INSERT, UPDATE, DELETE')",
            list(_SCHEMAS.values()),
        )
        changed = await connection.fetch(
            "SELECT rolname, nspname FROM pg_roles, pg_namespace n WHERE rolname LIKE 'firstvalue\\_%' AND (rolsuper"
            " OR has_schema_privilege(rolname, n.oid, 'CREATE')"
            " OR has_database_privilege(rolname, current_database(), 'CREATE'))"
        )
    finally:
        await connection.close()
    assert {row["usename"] for row in running} == {f"firstvalue_{name}" for name in SERVICES}
    own = {(f"firstvalue_{name}", schema) for name, schema in _SCHEMAS.items()}
    foreign = {(row["rolname"], row["nspname"], row["relname"]) for row in used if tuple(row)[:2] not in own}
    assert {tuple(row)[:2] for row in used} >= own
    assert foreign == {(f"firstvalue_{name}", "ingest", "api_key") for name in ("engine", "notifier")}
    assert not changed


def test_prometheus_loads_all_rules_and_the_watchdog_fires(watched: Watched) -> None:
    """Every rule is evaluated without an error against what the services export."""
    wait_until(lambda: watched.state_of("Watchdog") == {"firing"}, what="the watchdog")

    def evaluated() -> bool:
        groups = httpx.get(f"{watched.prometheus_url}/api/v1/rules", timeout=10).json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == {alert.name for alert in ALERTS}
        return all(rule["health"] == "ok" for rule in rules)

    wait_until(evaluated, what="every rule evaluated")


def test_latency_is_measured_from_end_to_end_with_the_clients_trace(watched: Watched) -> None:
    """From the arrival of an event to the 2xx of its webhook; the exemplar is the trace that the client sent."""
    ingest, engine, notifier = (watched.services[name] for name in SERVICES)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with taking_webhooks() as url:
        notifier.ask("POST", "/v1/endpoints", json={"url": f"{url}/hook"}).raise_for_status()
        plan = {"content-type": "application/yaml"}
        engine.ask("PUT", f"/v1/plans/{PLAN_ID}", content=plan_text(day="200ms"), headers=plan).raise_for_status()
        event = {"userId": "kim", "event": "Integration Connected", "context": {"groupId": "traced"}}
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        ingest.ask("POST", "/v1/track", json=event, headers=headers).raise_for_status()

        def measured() -> bool:
            page = notifier.private("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}).text
            lines = [line for line in page.splitlines() if "firstvalue_end_to_end_latency_seconds_bucket" in line]
            return any(f'trace_id="{trace}"' in line and "account." in line for line in lines)

        wait_until(measured, what="an exemplar with the client's trace")
    count = "firstvalue_event_time_latency_seconds_count"
    counted = [line for line in notifier.private("/metrics").text.splitlines() if line.startswith(count)]
    assert any(not line.endswith(" 0.0") for line in counted)


def test_the_profile_demo_has_something_to_tell(watched: Watched) -> None:
    """The very commands of its containers: the plan goes live, the events are taken, and signals are printed."""
    urls = {f"FIRSTVALUE_{name.upper()}_URL": f"http://127.0.0.1:{watched.services[name].port}" for name in SERVICES}

    def done(name: str, *more: str) -> str:
        service = compose()["services"][name]
        environment = {"PATH": os.environ["PATH"], **service["environment"], **urls}
        command = [sys.executable, "-m", "services.cli", *service["command"], *more]
        ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    for job in DEMO[:-1]:
        done(job)
    wait_until(
        lambda: "account.first_value_reached" in done(DEMO[-1], "--no-follow", "--json"), what="acme's first value"
    )


def test_hanging_endpoints_raise_a_backlog(watched: Watched) -> None:
    """More is due than the endpoint's share of requests on the wire, which never ends."""
    notifier = watched.services["notifier"]
    with _silent_endpoint() as url:
        endpoint = notifier.ask("POST", "/v1/endpoints", json={"url": url}).json()["id"]
        for _ in range(80):
            assert notifier.ask("POST", f"/v1/endpoints/{endpoint}/ping").status_code < 300
        watched.raised("NotifierBacklog")
        assert notifier.ask("DELETE", f"/v1/endpoints/{endpoint}").status_code < 300


def test_ticks_that_stop_raise_a_frozen_clock(watched: Watched) -> None:
    """Ingest stands still, and with it the clock of every partition."""
    process = watched.services["ingest"].process
    assert process is not None
    with _paused(process.pid):
        watched.raised("ClockFrozen")
    wait_until(lambda: not watched.state_of("ClockFrozen"), what="the clock goes on")


def test_a_broker_that_does_not_answer_raises_failing_publications(watched: Watched) -> None:
    """Kafka stands still while clients go on sending."""
    ingest = watched.services["ingest"]
    event = {"userId": "kim", "event": "Seen", "context": {"groupId": "acme"}}
    with _paused(watched.kafka_pid):
        watched.raised("PublishFailing", lambda: ingest.ask("POST", "/v1/track", json=event))
        _becomes(ingest, ready=False)
        assert ingest.private("/readyz").json()["checks"]["producer"] is False
        assert watched.all_live()
    wait_until(lambda: ingest.ask("POST", "/v1/track", json=event).status_code == 200, what="ingest goes on")


async def test_a_database_that_is_away_takes_all_out_of_service_and_ends_none(watched: Watched) -> None:
    """Live and not ready; ready again by themselves, as the same processes."""
    database = urlsplit(watched.database_url)
    server = await asyncpg.connect(database._replace(path="/postgres").geturl())
    name = database.path[1:]
    pids = [service.process and service.process.pid for service in watched.services.values()]
    await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    try:
        await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        for service in watched.services.values():
            wait_until(partial(_misses_database, service), what=f"{service.name} misses its database")
            assert not service.ready()
        assert watched.all_live()
    finally:
        await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await server.close()
    for service in watched.services.values():
        _becomes(service, ready=True)
    assert pids == [service.process and service.process.pid for service in watched.services.values()]


def test_an_engine_that_is_gone_is_a_target_down(watched: Watched) -> None:
    """It drains and exits 0 on SIGTERM; the page says which job is missing, and ends when it is back."""
    engine = watched.services["engine"]
    assert engine.end() == 0
    watched.raised("TargetDown")
    engine.start()
    wait_until(engine.ready, what="the engine is back")
    wait_until(lambda: not watched.state_of("TargetDown"), what="the alert ends")


def test_logs_are_lines_of_listed_fields_without_secrets(watched: Watched) -> None:
    """After all of the above, and of names with control characters: one JSON object a line, nothing planted in any."""
    odd = 'acme\r\n{"event": "forged"}\x1b[2J'
    planted_key = "fv_planted-wrong-key-77ab"
    for service in watched.services.values():
        service.ask("POST", "/v1/track", json={"userId": odd, "event": odd, "context": {"groupId": odd}})
        service.ask("GET", f"/v1/accounts/{quote(odd)}")
        service.ask("GET", "/v1/endpoints", headers={"authorization": f"Bearer {planted_key}"})
    for service in watched.services.values():
        lines = service.log.read_bytes().splitlines()
        assert lines
        for line in lines:
            entry = json.loads(line)
            assert entry["service"] == service.name
            assert set(entry) <= FIELDS
            assert entry["event"] != "forged"
        text = service.log.read_bytes()
        assert b"\x1b" not in text
        assert b"\r" not in text
        for secret in (ADMIN_KEY, SECRET_KEY, ROLE_PASSWORD, planted_key, "whsec_"):
            assert secret.encode() not in text
