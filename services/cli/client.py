"""One service over HTTP, as any other client sees it; its refusals and absence become the command's own errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

import httpx

from services.cli.addresses import EngineUrl, IngestUrl, Key, NotifierUrl, Target, find
from services.cli.output import Failed, Hung, Refused, Unreachable, complain

# Longer than the longest wait of a service, which is the adoption of a plan (10 s).
_ANSWER_SECONDS = 30.0
_PAGE_ROWS = 200
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
# A service that restarts, or a key beyond its pace, has come back long before.
_PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS_MIN = 0.1
# A field as the API has it: what is sent in a body or a query here is an option.
_FIELD = re.compile(r"^Correct (?:body|query)\.([\w.]+): ")
# What services advise to ask, and how that is asked here.
_ADVICE = {
    "GET /v1/plans": "`firstvalue plan list`",
    "GET /v1/partitions": "`firstvalue ops partitions`",
    "GET /v1/dead-letters": "`firstvalue ops dead-letters`",
    "GET /v1/signal-types": "`firstvalue signal types`",
    "with `plan`": "with --plan",
    "list the endpoints to find its id": "`firstvalue endpoint list` shows the ids",
    "list the deliveries to find its id": "`firstvalue delivery list` shows the ids",
    "list the keys to find its id": "`firstvalue key list` shows the ids",
    "after Retry-After seconds": "a little later",
    "after the seconds in Retry-After": "a little later",
}

_Answered = TypeVar("_Answered")


class Client:
    """Asks one service. Raises Refused with the service's own message, or Unreachable."""

    def __init__(self, target: Target, *, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._target = target
        self._answer_seconds = answer_seconds
        self._http = httpx.Client(
            base_url=target.url,
            headers={"authorization": f"Bearer {target.key}"},
            timeout=answer_seconds,
            # A proxy from the environment has no business between an operator and 127.0.0.1 or the cluster.
            trust_env=False,
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded answer; None when it is empty. `body` is sent as JSON, `content` as it is."""
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        try:
            answer = self._http.request(
                method, path, params=given, json=body, content=content, headers=dict(headers or {})
            )
        except httpx.ReadTimeout as error:
            service, url = self._target.service.capitalize(), self._target.url
            raise Hung(
                f"{service} hangs: it takes connections at {url} and said nothing for {self._answer_seconds:g} s."
            ) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(_unanswered(self._target, error)) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        failure = self._refusal(answer)
        failure.retry_after_seconds = _seconds(answer.headers.get("retry-after"))
        raise failure

    def rows(self, path: str, *, limit: int, parameters: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The first `limit` rows of a list, page by page."""
        for page in self.pages(path, limit=limit, parameters=parameters):
            yield from page["data"]

    def pages(self, path: str, *, limit: int, parameters: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The answers that hold the first `limit` rows, with what else is in them."""
        cursor = None
        while limit > 0:
            page = {**(parameters or {}), "limit": min(limit, _PAGE_ROWS), "cursor": cursor}
            answer = self.ask("GET", path, parameters=page)
            yield answer
            limit -= len(answer["data"])
            cursor = answer["next"]
            if cursor is None:
                return

    def _refusal(self, answer: httpx.Response) -> Failed:
        try:
            problem = answer.json()
            message, *_ = (problem[name] for name in ("message", "code", "request_id"))
        except (ValueError, KeyError, TypeError):
            where = f"{self._target.url}, where the {self._target.service} should be"
            return Unreachable(f"Something else answers at {where}: correct the address, or the proxy in between.")
        kind = Unreachable if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else Refused
        return kind(_for_people(message), problem=problem)


# What a verb gets that may do without a client; raises what the functions below raise.
FindClient: TypeAlias = Callable[[], Client]


def ingest(*, ingest_url: IngestUrl = None, key: Key = None) -> Client:
    """The client of ingest, by the options that say where it is. Raises Unreachable, Misused; the others as well."""
    return Client(find("ingest", url=ingest_url, key=key))


def engine(*, engine_url: EngineUrl = None, key: Key = None) -> Client:
    """That of the engine."""
    return Client(find("engine", url=engine_url, key=key))


def notifier(*, notifier_url: NotifierUrl = None, key: Key = None) -> Client:
    """That of the notifier."""
    return Client(find("notifier", url=notifier_url, key=key))


def patiently(ask: Callable[[], _Answered]) -> _Answered:
    """What `ask` answers; a service that says when to come back is asked again then, for ten minutes in all.

    Raises what `ask` raised last. That it takes longer than one pause is told once.
    """
    ends_at, pauses = time.monotonic() + _PATIENCE_SECONDS, 0
    while True:
        try:
            return ask()
        except Failed as failure:
            pause_seconds = failure.retry_after_seconds
            if pause_seconds is None or time.monotonic() + pause_seconds > ends_at:
                raise
            if pauses == 1:
                complain(f"{failure}; still trying, for {_PATIENCE_SECONDS / 60:.0f} minutes in all")
        time.sleep(max(pause_seconds, _PAUSE_SECONDS_MIN))
        pauses += 1


def segment(text: str) -> str:
    """`text` as one segment of a path, whatever its characters; bare `..` would be taken for the folder above."""
    return quote(text, safe="").replace(".", "%2E")


def _unanswered(target: Target, error: Exception) -> str:
    reason = _ERRNO.sub("", str(error)) or type(error).__name__
    service, where = target.service, f"FIRSTVALUE_{target.service.upper()}_URL"
    return f"{service.capitalize()} does not answer at {target.url} ({reason}). Does it run, and is {where} right?"


def _for_people(message: str) -> str:
    """A service's message with verbs and options of the command line where it names the API's."""
    for asked, here in _ADVICE.items():
        message = message.replace(asked, here)
    named = _FIELD.sub(r"Correct \1: ", message)
    whole = named.removeprefix("Correct body: ")
    told = named if whole == named else whole[:1].upper() + whole[1:]
    return told.replace("Input should be", "must be").replace("String should have", "must have")


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None
