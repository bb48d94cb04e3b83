"""All checks in the order in which a cause comes before its effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.cli.doctor import (
    delivery_checks,
    engine_checks,
    event_checks,
    local_checks,
    server_checks,
    service_checks,
)
from services.cli.doctor.findings import Finding
from services.cli.doctor.look import Look

CHECKS: tuple[Callable[[Look], Iterator[Finding]], ...] = (
    local_checks.stack_runs,
    local_checks.disk_has_room,
    local_checks.ports_are_free,
    server_checks.broker_answers,
    server_checks.database_is_current,
    service_checks.services_answer,
    service_checks.services_are_ready,
    service_checks.workers_move,
    service_checks.services_find_their_servers,
    service_checks.key_is_known,
    service_checks.write_key_may_write,
    event_checks.events_arrive,
    event_checks.accounts_are_known,
    event_checks.events_are_taken,
    event_checks.records_are_applied,
    engine_checks.partitions_run,
    engine_checks.engine_keeps_up,
    engine_checks.a_plan_is_live,
    engine_checks.plans_name_what_comes,
    engine_checks.names_are_spelt_one_way,
    engine_checks.names_keep_coming,
    delivery_checks.endpoints_take_signals,
    delivery_checks.endpoints_name_live_plans,
    delivery_checks.nothing_is_held,
    delivery_checks.what_is_due_is_sent,
)


def examine(look: Look) -> list[Finding]:
    """What every check finds."""
    return [finding for check in CHECKS for finding in check(look)]
