"""An ingest that is killed at a named point under load, and what its clients were told until then."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.integration.ingest_process import IngestProcess, end, launch


class Request(NamedTuple):
    """The body of a batch, and what the log owes once it was answered 200: the account of each event by its id."""

    owed: dict[str, str]
    body: dict[str, Any]


def send_until_killed(
    environment: Mapping[str, str], folder: Path, *, crash_at: str, requests: Callable[[str], Iterator[Request]]
) -> tuple[dict[str, str], list[Request]]:
    """(what the log owes, the requests without an answer) of several clients, each with endless requests of its own.

    `crash_at` is a point and the hit at which the process dies, such as `ingest.before_produce:12`.
    """
    dying = launch({**environment, "FIRSTVALUE_CRASH_AT": crash_at}, folder)
    names = [f"{crash_at}-{number}" for number in range(4)]
    try:
        dying.wait_ready()
        with ThreadPoolExecutor(len(names)) as pool:
            outcomes = list(pool.map(lambda name: _send(dying, requests(name)), names))
        assert dying.process.wait(10) == -signal.SIGKILL
    finally:
        end(dying)
    owed = {id_: account for told, _ in outcomes for id_, account in told.items()}
    assert owed, "nothing was answered before the end"
    return owed, [unanswered for _, unanswered in outcomes]


def _send(service: IngestProcess, requests: Iterator[Request]) -> tuple[dict[str, str], Request]:
    owed: dict[str, str] = {}
    for request in requests:
        try:
            answer = service.post("/v1/batch", request.body)
        except httpx.TransportError:
            return owed, request
        assert answer.status_code == 200, answer.text
        owed |= request.owed
    raise AssertionError("requests never end")
