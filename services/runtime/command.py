"""What `python -m services.<name> [serve|migrate|…]` does, the same for every service."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from sqlalchemy.exc import SQLAlchemyError

from services.runtime.kafka import TopicProblem
from services.runtime.logs import configure_logs, first_line
from services.runtime.migrations import StaleSchema, upgrade
from services.runtime.postgres import access_advice, is_unreachable
from services.runtime.process import Stopping, run
from services.runtime.settings import SharedSettings, settings_advice


class Unfinished(Exception):
    """A job left something undone; the message says what, and what to do."""


_Own = TypeVar("_Own", bound=BaseSettings)


def run_command(
    arguments: Sequence[str],
    *,
    service: str,
    schema: str,
    migrations: Path,
    settings: type[_Own],
    serve: Callable[[SharedSettings, _Own, Stopping], Coroutine[Any, Any, None]],
    jobs: Mapping[str, Callable[[SharedSettings, _Own], Coroutine[Any, Any, str]]] = MappingProxyType({}),
) -> int:
    """Serve, bring `schema` up to date by the revisions in `migrations`, or run one of the service's `jobs` and print
    what it has to say; the exit status for the shell.

    What an operator has to mend is told in one line and exits 1; wrong use exits 2.
    """
    command = arguments[0] if arguments else "serve"
    if command not in ("serve", "migrate", *jobs):
        print(f"{service}: say {' or '.join(('serve', 'migrate', *jobs))}", file=sys.stderr)
        return 2
    try:
        shared = SharedSettings()
        configure_logs(service=service, level=shared.log_level)
        if command == "migrate":
            with _database_refusals():
                upgrade(shared.database_url, schema=schema, folder=migrations)
            return 0
        own = settings()
        if command in jobs:
            with _database_refusals():
                print(asyncio.run(jobs[command](shared, own)))
            return 0
        return run(lambda stopping: serve(shared, own, stopping))
    except ValidationError as error:
        print(settings_advice(error), file=sys.stderr)
    except (StaleSchema, TopicProblem, Unfinished) as problem:
        print(problem, file=sys.stderr)
    return 1


@contextmanager
def _database_refusals() -> Iterator[None]:
    """Raises Unfinished for a database that is away or lets nobody in; other errors are left as they are."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        told = access_advice(error)
        if told is None and is_unreachable(error):
            told = f"PostgreSQL does not answer ({first_line(error)}): start it, or correct DATABASE_URL."
        if told is None:
            raise
        raise Unfinished(told) from error
