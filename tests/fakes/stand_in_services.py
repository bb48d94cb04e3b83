"""Stands in for ingest and engine before the command line: ingest's real checks, the engine's answers as scripted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from schemas.positions import encode_position
from services.ingest.dialects.commands import read_command
from services.ingest.events import Rejected
from services.runtime.access import Scope
from services.runtime.problems import Problem, problem_body

Answer = tuple[int, dict[str, Any]]


@dataclass
class StandInServices:
    """What was asked of them, and what the engine answers past a position: one of `account_answers` after the other.
    Asked without a position it knows every account but those that are `unseen`, each with these `risks`, and `plans`
    with their milestones and what else is in their `contents`."""

    position: str = encode_position({0: 5})
    scopes: frozenset[Scope] = frozenset(Scope)
    commands: list[dict[str, Any]] = field(default_factory=list)
    account_answers: list[Answer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unseen: frozenset[str] = frozenset()
    plans: dict[str, list[str]] = field(default_factory=dict)
    contents: dict[str, dict[str, Any]] = field(default_factory=dict)
    risks: tuple[str, ...] = ("single_threaded",)
    url: str = ""
    taken: threading.Event = field(default_factory=threading.Event)

    def take(self, raw: bytes) -> Answer:
        """As POST /v1/commands."""
        try:
            read_command(raw, bytes_max=65_536, received_at=datetime.now(UTC), may=self.scopes.__contains__)
        except Rejected as rejected:
            return 400, problem_body(rejected.code, rejected.message, "r-1")
        except Problem as problem:
            return problem.status, problem_body(problem.code, problem.message, "r-1")
        self.commands.append(json.loads(raw))
        self.taken.set()
        return 200, {"success": True, "accepted": 1, "rejected": 0, "errors": [], "position": self.position}


@contextmanager
def stand_in_services() -> Iterator[StandInServices]:
    """Both, at one address."""
    services = StandInServices()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/v1/plans?"):
                self._answer((200, {"data": [{"plan": one} for one in services.plans], "next": None}))
            elif self.path.startswith("/v1/plans/"):
                plan = self.path.rpartition("/")[2]
                content = {"milestones": dict.fromkeys(services.plans[plan]), **services.contents.get(plan, {})}
                self._answer((200, {"content": {"first_value": None, **content}}))
            elif "?" in self.path:
                services.asked.append(self.path)
                self._answer(services.account_answers.pop(0))
            elif self.path.endswith("/explain"):
                risks = [{"id": one} for one in services.risks]
                self._answer((200, {"plans": [{"risks": risks, "opportunities": []}]}))
            elif self.path.rpartition("/")[2] in services.unseen:
                self._answer((404, problem_body("account_unknown", "Check the id.", "r-3")))
            else:
                self._answer((200, {"plans": [{"plan": one} for one in services.plans]}))

        def do_POST(self) -> None:
            self._answer(services.take(self.rfile.read(int(self.headers["content-length"]))))

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing: what the command prints is looked at."""

        def _answer(self, answer: Answer) -> None:
            status, body = answer
            encoded = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        services.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield services
        finally:
            server.shutdown()
            thread.join()
