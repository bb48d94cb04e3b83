"""Do the services answer, can they work, and may this key ask them?"""

from __future__ import annotations

from collections.abc import Iterator

from services.cli.doctor.findings import Finding, fine, note, problem
from services.cli.doctor.look import LOOK_SECONDS_MAX, SERVICES, Look
from services.cli.output import Hung, Refused

_NEEDED = {
    "database": "PostgreSQL does not answer it",
    "producer": "Kafka does not confirm what it writes",
    "broker": "Kafka does not answer it",
    "started": "it still waits for PostgreSQL or Kafka, or for its topics",
    "not_draining": "it is shutting down",
}
_UNKNOWN_KEY = ("key_unknown", "key_missing", "keys_differ", "key_unreadable")


def services_answer(look: Look) -> Iterator[Finding]:
    """Each service at its address."""
    if look.local is not None and not look.targets:
        if not look.local.state:
            do = "start it with `firstvalue up`, or set FIRSTVALUE_INGEST_URL, …_ENGINE_URL and …_NOTIFIER_URL"
            yield problem("services", f"no local stack runs in {look.local.folder}", do)
        return
    for service in SERVICES:
        failure = look.absence(service)
        if failure is None:
            yield fine("services", f"{service} answers at {look.targets[service].url}")
            if service in look.slow:
                told = f"{service} had not answered everything after {LOOK_SECONDS_MAX:.0f} s: it is slow, or far away"
                yield note("services", told, "what it had not answered is not judged below")
            continue
        if isinstance(failure, Hung):
            how = ": `firstvalue down`, then `firstvalue up`" if look.local is not None else ""
            do = f"see first whether PostgreSQL and Kafka answer; if they do and it stays so, start it anew{how}"
        elif look.local is not None:
            log = look.local.logs / f"{service}.log"
            do = f"`firstvalue status` shows whether it is being started again; its last words are in {log}"
        else:
            do = "start it, a local stack by `firstvalue up`; or correct the address, to be reachable from here"
        yield problem("services", str(failure), do)


def services_are_ready(look: Look) -> Iterator[Finding]:
    """What each says on its private port, where that is known."""
    for service, checks in look.ready.items():
        missing = [_NEEDED.get(name, name) for name, passed in checks.items() if not passed]
        if missing:
            yield problem(
                "ready", f"{service} is not ready: {'; '.join(missing)}", "it goes on by itself once that is there"
            )
        else:
            yield fine("ready", f"{service} is ready")


def workers_move(look: Look) -> Iterator[Finding]:
    """What each service does beside answering, such as the notifier's intake of signals; also when nothing is due."""
    for service, workers in look.live.items():
        hung = [name for name, moves in workers.items() if not moves]
        if hung:
            told = f"{service} hangs: nothing moved for a minute in {', '.join(hung)}"
            do = "if PostgreSQL and Kafka answer, start it anew: `firstvalue down`, then `firstvalue up`"
            yield problem("live", told, do)


def services_find_their_servers(look: Look) -> Iterator[Finding]:
    """A service that asks to come back later has lost its database or its broker."""
    for service, failures in look.failures.items():
        later = next((one for one in failures if one.retry_after_seconds is not None), None)
        if later is not None:
            what = "PostgreSQL" if "database" in str(later) else "Kafka"
            yield problem("ready", f"{service}: {later}", f"see whether {what} runs and can be reached by the service")


def key_is_known(look: Look) -> Iterator[Finding]:
    """The key of this command, for every question that it could not ask."""
    refusals = [one for failures in look.failures.values() for one in failures if isinstance(one, Refused)]
    if any(one.code in _UNKNOWN_KEY for one in refusals):
        yield problem(
            "key",
            "the API key is wrong, expired or revoked",
            "create one with `firstvalue key create`, or set FIRSTVALUE_API_KEY to the one that is meant",
        )
    elif lacking := sorted({one.message for one in refusals if one.code == "scope_missing"}):
        yield problem("key", f"the API key sees not all: {lacking[0]}", "run doctor with an admin key")
    elif look.answers:
        yield fine("key", "the API key is known and may ask everything")


def write_key_may_write(look: Look) -> Iterator[Finding]:
    """The key that the product sends with, when it is given."""
    if look.write_key is None or not look.reached("ingest"):
        return
    failure = look.write_key_failure
    code = failure.code if failure else None
    if failure is None:
        yield fine("write_key", "the product's key may send events")
    elif code in (*_UNKNOWN_KEY, "scope_missing"):
        what = "may not send events" if code == "scope_missing" else "is unknown, expired or revoked"
        do = "create one with `firstvalue key create product --scope events:write`"
        yield problem("write_key", f"the product's key {what}", do)
    else:
        yield problem("write_key", f"the product's key was not judged: {failure}", "run doctor again a little later")
