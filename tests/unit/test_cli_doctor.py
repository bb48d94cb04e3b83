"""What `firstvalue doctor` says of the answers that it gets, which are those of the services' documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from services.activation_engine.api.examples import PARTITIONS
from services.activation_engine.api.insight_examples import CATALOG
from services.activation_engine.api.operation_examples import DEAD_LETTERS
from services.cli.addresses import Target
from services.cli.doctor import delivery_checks, engine_checks, event_checks, server_checks, servers, service_checks
from services.cli.doctor.findings import Finding
from services.cli.doctor.look import Local, Look
from services.cli.doctor.servers import DatabaseSeen
from services.cli.output import Hung, Refused, Unreachable
from services.notifier.api.documents import DeliveryDocument, EndpointDocument

NOW = datetime(2026, 11, 16, 10, 0, 10, tzinfo=UTC)
TARGETS: Any = {name: Target(name, f"http://{name}.example", "fv_KEY") for name in ("ingest", "engine", "notifier")}
_DOCUMENTED: Any = {"partitions": PARTITIONS, "names": CATALOG}
_EXAMPLES: Any = {kind: kind.model_config for kind in (EndpointDocument, DeliveryDocument)}
PARTITION: dict[str, Any] = _DOCUMENTED["partitions"]["data"][0]
ENDPOINT: dict[str, Any] = _EXAMPLES[EndpointDocument]["json_schema_extra"]["example"]
DELIVERY: dict[str, Any] = _EXAMPLES[DeliveryDocument]["json_schema_extra"]["example"]
NAME: dict[str, Any] = _DOCUMENTED["names"]["data"][0]
LETTER: dict[str, Any] = DEAD_LETTERS["data"][0]

Check = Callable[[Look], Iterator[Finding]]


def look(**answers: list[dict[str, Any]]) -> Look:
    """All services answered, with this."""
    return Look(now=NOW, targets=dict(TARGETS), answers=dict(answers))


def found(check: Check, seen: Look) -> list[tuple[str, str]]:
    """(check, level) of its findings; each that is not well says what to do."""
    findings = list(check(seen))
    assert all(one.do for one in findings if one.level == "problem")
    return [(one.check, one.level) for one in findings]


def said(check: Check, seen: Look) -> str:
    """The one finding that is not well, in words."""
    [finding] = [one for one in check(seen) if one.level != "ok"]
    return f"{finding.message}: {finding.do}"


def partition(number: int = 0, *, age_seconds: float = 7, **fields: Any) -> dict[str, Any]:
    """A row of `GET /v1/partitions`, whose newest applied record is so old."""
    at = (NOW - timedelta(seconds=age_seconds)).isoformat()
    return {**PARTITION, "partition": number, "last_append_at": at, **fields}


def test_partitions_that_run_are_well() -> None:
    """Each with an owner, and applied up to now."""
    seen = look(partitions=[partition(0), partition(1)])
    assert found(engine_checks.partitions_run, seen) == [("partitions", "ok")]
    assert found(engine_checks.engine_keeps_up, seen) == [("clock", "ok")]


def test_a_stopped_partition_is_told_with_the_way_on() -> None:
    """Its number, its reason and the command; the others being well is not said beside it."""
    seen = look(partitions=[partition(0), partition(3, state="stopped", problem="records_expired")])
    words = said(engine_checks.partitions_run, seen)
    assert "partition 3 is stopped: records_expired" in words
    assert "firstvalue ops resume 3" in words
    assert found(engine_checks.partitions_run, seen) == [("partitions", "problem")]


@pytest.mark.parametrize(
    ("rows", "words"),
    [([partition(0), partition(2, state="unclaimed", owner=None)], "partitions 2:"), ([], "any partition:")],
    ids=["one", "all"],
)
def test_partitions_that_nobody_works_on_are_told(rows: list[dict[str, Any]], words: str) -> None:
    """Also when there is none, because no engine ever ran."""
    assert words in said(engine_checks.partitions_run, look(partitions=rows))


def test_an_engine_that_is_behind_is_told_by_how_much() -> None:
    """By its slowest partition; one that is stopped or new is judged elsewhere."""
    rows = [partition(0), partition(1, age_seconds=300), partition(2, age_seconds=900), partition(3, state="stopped")]
    seen = look(partitions=rows)
    words = said(engine_checks.engine_keeps_up, seen)
    assert "behind in 2 of 3 partitions, by 900 s" in words
    assert found(engine_checks.engine_keeps_up, seen) == [("lag", "problem")]
    rows = [partition(0), partition(1, last_append_at=None)]
    assert found(engine_checks.engine_keeps_up, look(partitions=rows)) == [("lag", "problem")]
    assert found(engine_checks.engine_keeps_up, look(partitions=[partition(age_seconds=80)])) == [("clock", "ok")]


def test_an_engine_that_has_just_begun_is_not_behind() -> None:
    """Before its first tick there is nothing to measure."""
    rows = [partition(one, last_append_at=None) for one in range(2)]
    assert found(engine_checks.engine_keeps_up, look(partitions=rows)) == [("clock", "note")]


@pytest.mark.parametrize("how", ["unreachable", "not_ready"])
def test_a_clock_that_stands_still_is_not_told_as_a_lag(how: str) -> None:
    """Without an ingest that sends ticks it is no fault of the engine's."""
    seen = look(partitions=[partition(age_seconds=900)])
    if how == "unreachable":
        seen.failures["ingest"] = [Unreachable("ingest does not answer")]
    else:
        seen.ready["ingest"] = {"database": True, "producer": False}
    words = said(engine_checks.engine_keeps_up, seen)
    assert "clock stands still in 1 of 1 partitions" in words
    assert "start ingest" in words


def test_a_hold_after_an_outage_is_a_note() -> None:
    """It ends by itself."""
    seen = look(partitions=[partition(holding=True)])
    assert found(engine_checks.engine_keeps_up, seen) == [("clock", "ok"), ("clock", "note")]


def test_endpoints_are_told_by_how_they_do() -> None:
    """Failing with since when, disabled with why, each with its command; a healthy one is well."""
    failing = {**ENDPOINT, "id": "ep_1", "status": "failing", "failing_since": "2026-11-16T08:00:00Z"}
    disabled = {**ENDPOINT, "id": "ep_2", "status": "disabled", "disabled_reason": "failed for 5 days"}
    words = said(delivery_checks.endpoints_take_signals, look(endpoints=[ENDPOINT, failing]))
    assert "ep_1" in words
    assert "is failing since 2026-11-16T08:00:00Z" in words
    assert "firstvalue delivery list --endpoint ep_1" in words
    words = said(delivery_checks.endpoints_take_signals, look(endpoints=[disabled]))
    assert "is disabled, failed for 5 days" in words
    assert "firstvalue endpoint enable ep_2" in words
    levels = found(delivery_checks.endpoints_take_signals, look(endpoints=[ENDPOINT, failing, disabled]))
    assert [level for _, level in levels] == ["ok", "problem", "problem"]
    assert found(delivery_checks.endpoints_take_signals, look(endpoints=[])) == [("endpoints", "note")]


def test_an_endpoint_for_a_plan_that_is_not_live_is_told() -> None:
    """It waits without an end, or for a plan that is still to be published; one for all plans names none."""
    endpoints = [{**ENDPOINT, "id": "ep_1", "plans": ["smb", "nosuch"]}, {**ENDPOINT, "id": "ep_2", "plans": []}]
    seen = look(endpoints=endpoints, plans=[{"plan": "smb"}])
    assert "endpoint ep_1 asks for signals of nosuch" in said(delivery_checks.endpoints_name_live_plans, seen)
    assert found(delivery_checks.endpoints_name_live_plans, look(endpoints=endpoints)) == []


def test_held_deliveries_are_told_by_endpoint_and_cause() -> None:
    """Those of a digest leave by themselves; what came while an endpoint was disabled stays until somebody says so."""
    held = {**DELIVERY, "status": "held", "next_at": None, "endpoint_id": "ep_1"}
    disabled, backlog = {**held, "hold_reason": "disabled"}, {**held, "hold_reason": "backlog", "endpoint_id": "ep_2"}
    words = said(delivery_checks.nothing_is_held, look(held=[disabled, disabled]))
    assert "2 held deliveries of ep_1: it was disabled" in words
    assert "firstvalue endpoint enable ep_1 --send-held" in words
    assert "ep_2" in said(delivery_checks.nothing_is_held, look(held=[backlog]))
    levels = found(delivery_checks.nothing_is_held, look(held=[disabled, backlog, {**held, "hold_reason": "digest"}]))
    assert levels == [("held", "note"), ("held", "problem")]
    assert found(delivery_checks.nothing_is_held, look(held=[])) == []


@pytest.mark.parametrize(
    "fields", [{"status": "failing"}, {"status": "disabled"}, {"window_open": False}, {"rate_per_second": 1.0}]
)
def test_a_notifier_that_sends_nothing_is_told(fields: dict[str, Any]) -> None:
    """By what is due for long at endpoints that nothing keeps from being sent to."""
    endpoint = {**ENDPOINT, "rate_per_second": None}
    due = {**DELIVERY, "endpoint_id": ENDPOINT["id"], "next_at": (NOW - timedelta(seconds=600)).isoformat()}
    soon = {**due, "next_at": (NOW + timedelta(seconds=600)).isoformat()}
    words = said(delivery_checks.what_is_due_is_sent, look(endpoints=[endpoint], waiting=[due, soon]))
    assert "1 overdue delivery, the oldest for 600 s" in words
    assert f"firstvalue delivery show {due['id']}" in words
    assert found(delivery_checks.what_is_due_is_sent, look(endpoints=[endpoint], waiting=[soon])) == [
        ("deliveries", "ok")
    ]
    kept = look(endpoints=[{**endpoint, **fields}], waiting=[due])
    assert found(delivery_checks.what_is_due_is_sent, kept) == [("deliveries", "ok")]


def test_records_that_the_engine_refused_are_counted_by_reason() -> None:
    """Those that were sent again are no problem any more."""
    requeued = {**LETTER, "requeued_at": "2026-11-16T09:00:00Z"}
    open_ones = [
        {**LETTER, "reason": reason, "requeued_at": None} for reason in ("record_invalid", "record_invalid", "x")
    ]
    words = said(event_checks.records_are_applied, look(dead_letters=[requeued, *open_ones]))
    assert "refused 3 of the records that it read: record_invalid (2), x (1)" in words
    assert "firstvalue ops requeue" in words
    assert found(event_checks.records_are_applied, look(dead_letters=[requeued])) == []


def test_names_that_stopped_coming_are_told() -> None:
    """Those alone that the engine calls silent."""
    silent = {**NAME, "name": "Data Imported", "silent": True}
    words = said(engine_checks.names_keep_coming, look(names=[NAME, silent]))
    assert "have stopped: Data Imported:" in words
    assert found(engine_checks.names_keep_coming, look(names=[NAME])) == []


def test_a_name_that_is_nearly_a_plan_s_is_told() -> None:
    """By case, blanks or signs; one that plans use too is meant as it is."""
    used, twin = {**NAME, "name": "Data Imported", "used_by": ["smb"]}, {**NAME, "name": "data_imported", "used_by": []}
    other = {**NAME, "name": "Login", "used_by": []}
    words = said(engine_checks.names_are_spelt_one_way, look(names=[used, other, twin]))
    assert "nearly under one that is used: `data_imported` beside `Data Imported`:" in words
    assert found(engine_checks.names_are_spelt_one_way, look(names=[used, {**twin, "used_by": ["smb"]}, other])) == []


@pytest.mark.parametrize(
    ("database", "do"), [("postgresql://local", "`firstvalue up`"), ("postgresql://x", "migrate`")]
)
def test_a_stale_schema_is_told_with_what_mends_it(tmp_path: Path, database: str, do: str) -> None:
    """The local stack migrates at its start; others have a job for it."""
    state = {"connection": {"database": "postgresql://local"}}
    seen = Look(now=NOW, local=Local(tmp_path, tmp_path, state=state, wanted_ports={}), database_url=database)
    seen.database = DatabaseSeen(stale=("Schema ingest is at nothing, this version needs 3: run something.",))
    words = said(server_checks.database_is_current, seen)
    assert words.startswith("Schema ingest is at nothing, this version needs 3: ")
    assert do in words


@pytest.mark.parametrize(("address", "do"), [("127.0.0.1:9", "`firstvalue up`"), ("x:1", "KAFKA_BOOTSTRAP_SERVERS")])
def test_a_broker_that_does_not_answer_is_told_with_what_mends_it(tmp_path: Path, address: str, do: str) -> None:
    """The local stack's is started with the stack."""
    local = Local(tmp_path, tmp_path, state={"connection": {"kafka": "127.0.0.1:9"}}, wanted_ports={})
    words = said(server_checks.broker_answers, Look(now=NOW, local=local, kafka=address, kafka_answers=False))
    assert words.startswith(f"Kafka does not answer at {address}: ")
    assert do in words


def test_what_could_not_be_asked_is_judged_by_nobody() -> None:
    """A service that is away is told once, and not again as everything that it might have said."""
    for check in (
        engine_checks.partitions_run,
        engine_checks.engine_keeps_up,
        engine_checks.names_keep_coming,
        engine_checks.names_are_spelt_one_way,
        server_checks.database_is_current,
        event_checks.records_are_applied,
        delivery_checks.endpoints_take_signals,
        delivery_checks.endpoints_name_live_plans,
        delivery_checks.nothing_is_held,
        delivery_checks.what_is_due_is_sent,
    ):
        assert found(check, look()) == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Refused("unknown", problem={"code": "key_unknown", "request_id": "r-1"}), "firstvalue key create"),
        (Refused("lacks accounts:read", problem={"code": "scope_missing", "request_id": "r-1"}), "admin key"),
    ],
)
def test_the_key_of_the_command_is_told_when_it_was_refused(failure: Refused, words: str) -> None:
    """Wrong, or with less than doctor asks for."""
    seen = look(partitions=[])
    seen.failures["engine"] = [failure]
    assert words in said(service_checks.key_is_known, seen)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("key_unknown", "is unknown, expired or revoked"),
        ("scope_missing", "may not send events"),
        ("overloaded", "was not judged"),
    ],
)
def test_the_key_of_the_product_is_told_with_one_advice(code: str, words: str) -> None:
    """The service's own is not repeated."""
    told = Refused("Create one with `firstvalue key create`.", problem={"code": code, "request_id": "r-1"})
    (finding,) = service_checks.write_key_may_write(
        Look(now=NOW, targets=TARGETS, write_key="k", write_key_failure=told)
    )
    assert words in finding.message
    assert f"{finding.message} {finding.do}".count("key create") <= 1


def test_a_worker_that_hangs_is_told() -> None:
    """An intake that stands still leaves nothing due by which it could be seen."""
    seen = Look(now=NOW, live={"ingest": {"event_loop": True}, "notifier": {"intake": False, "claimer": True}})
    assert "notifier hangs: nothing moved for a minute in intake:" in said(service_checks.workers_move, seen)


def test_refused_events_are_told_by_cause() -> None:
    """Two mistakes of one kind need two remedies; only so many are told, and that there are more."""
    row = {"at": NOW.isoformat(), "reason": "command_invalid", "event": None}
    rows = [{**row, "type": name, "message": f"Correct the {name} command."} for name in ("pause", "snooze", "pause")]
    pause, snooze = event_checks.events_are_taken(look(dead=rows))
    assert pause.message == "2 refused events of the last day, command_invalid: pause (2)"
    assert pause.do.startswith("Correct the pause command.")
    assert snooze.do.startswith("Correct the snooze command.")
    many = [{**row, "type": "pause", "message": str(number)} for number in range(6)]
    assert list(event_checks.events_are_taken(look(dead=many)))[-1].message == "refused events of 1 more cause"


def test_a_service_that_answered_and_then_hung_is_told_by_that() -> None:
    """What it said of its database is another finding."""
    later, hung = Unreachable("The database is away."), Hung("Notifier had not answered everything after 6 s.")
    later.retry_after_seconds = 1.0
    seen = look()
    seen.failures["notifier"] = [later, hung]
    words = said(service_checks.services_answer, seen)
    assert words.startswith("Notifier had not answered everything")
    assert "see first whether PostgreSQL and Kafka answer" in words
    assert "notifier: The database is away." in said(service_checks.services_find_their_servers, seen)


def test_a_service_that_is_away_may_be_a_stack_that_was_stopped() -> None:
    """Whose addresses the shell still has from `firstvalue status --env`."""
    seen = look()
    seen.failures["ingest"] = [Unreachable("Ingest does not answer.")]
    assert "`firstvalue up`" in said(service_checks.services_answer, seen)


def test_a_service_that_is_far_away_does_not_hang() -> None:
    """It gave some of its answers in time; starting it anew would not help."""
    seen = look()
    seen.slow.append("engine")
    assert found(service_checks.services_answer, seen).count(("services", "note")) == 1
    assert said(service_checks.services_answer, seen).startswith("engine had not answered everything after 6 s")


def test_a_broker_whose_address_nobody_tells_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that is given binds for all addresses together; one that answers is enough."""
    held = Event()
    monkeypatch.setattr(servers, "_answers", lambda address, _: address == "second:1" or held.wait(60))
    assert servers.broker_answers("first:1, second:1", seconds=30)
    assert not servers.broker_answers("first:1,third:1", seconds=0.01)
    held.set()


def test_a_local_stack_that_does_not_run_is_told_once(tmp_path: Path) -> None:
    """Not once for each of its services; one that starts is told as such elsewhere."""
    seen = Look(now=NOW, local=Local(tmp_path, tmp_path, state={}, wanted_ports={}))
    assert "firstvalue up" in said(service_checks.services_answer, seen)
    seen = Look(now=NOW, local=Local(tmp_path, tmp_path, state={"ready": False}, wanted_ports={}))
    assert found(service_checks.services_answer, seen) == []
