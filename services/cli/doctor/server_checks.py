"""PostgreSQL and Kafka themselves, where their addresses are known: do they answer, is the schema current?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from services.cli.doctor.findings import Finding, fine, problem
from services.cli.doctor.look import Look


def broker_answers(look: Look) -> Iterator[Finding]:
    """One of its addresses, and more than that it takes connections, as a process that stands still does too."""
    if look.kafka_answers:
        yield fine("kafka", f"Kafka answers at {look.kafka}")
    elif look.kafka_answers is not None:
        anew = "`firstvalue down`, then `firstvalue up` starts it anew"
        do = anew if _is_local(look, "kafka", look.kafka) else "start it, or correct KAFKA_BOOTSTRAP_SERVERS"
        yield problem("kafka", f"Kafka does not answer at {look.kafka}", do)


def database_is_current(look: Look) -> Iterator[Finding]:
    """It answers, and each schema is at the version of this release."""
    seen = look.database
    if seen is None or look.database_url is None:
        return
    parts = urlsplit(look.database_url)
    place = f"{parts.hostname or 'its socket'}{f':{parts.port}' if parts.port else ''}"
    if seen.failure is not None:
        do = "start it, or correct DATABASE_URL"
        yield problem("database", f"PostgreSQL does not answer at {place} ({seen.failure})", do)
    elif seen.refusal is not None:
        what, _, do = seen.refusal.rstrip(".").rpartition(": ")
        yield problem("database", f"{what}, at {place}", do)
    elif not seen.stale:
        yield fine("database", f"PostgreSQL answers at {place}, and its schemas are current")
    for message in seen.stale:
        yield problem("schema", message.partition(":")[0], _migrate(look))


def _migrate(look: Look) -> str:
    """The local stack migrates when it starts, and its database has no address outside of it."""
    if _is_local(look, "database", look.database_url):
        return "`firstvalue down`, then `firstvalue up` brings it up to date"
    return "run `firstvalue migrate` with the release that the services run"


def _is_local(look: Look, server: str, address: str | None) -> bool:
    local = look.local.state.get("connection") or {} if look.local is not None else {}
    return local.get(server) == address
