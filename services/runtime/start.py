"""The start of a service: the servers that it stands on are waited for, what no waiting mends ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.runtime.kafka import BrokerTrouble, TopicProblem
from services.runtime.logs import first_line
from services.runtime.migrations import StaleSchema
from services.runtime.postgres import access_advice
from services.runtime.process import Stopping, WorkerFailed

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0

_Found = TypeVar("_Found")


async def once_servers_answer(
    look: Callable[[], Awaitable[_Found]], *, stopping: Stopping, away: tuple[type[Exception], ...] = ()
) -> _Found | None:
    """What `look` finds as soon as database and broker answer it, None when asked to stop before. They are away when it
    raises what their drivers do, or one of `away`; that is told once for each kind of error.

    Raises WorkerFailed for a stale schema, an unfit topic, or a login, user or database that PostgreSQL refuses, after
    one line that says what to do.
    """
    told = ""
    while not stopping:
        try:
            return await look()
        except (StaleSchema, TopicProblem) as problem:
            raise _refused(str(problem)) from problem
        except (SQLAlchemyError, BrokerTrouble, OSError, *away) as error:
            if (advice := access_advice(error)) is not None:
                raise _refused(advice) from error
            if told != type(error).__name__:
                told = type(error).__name__
                server = "PostgreSQL: " if isinstance(error, (SQLAlchemyError, OSError)) else ""
                log.warning("waiting_for_servers", error=told, reason=f"{server}{first_line(error)}")
        await stopping.sleep(_RETRY_SECONDS)
    return None


def _refused(reason: str) -> WorkerFailed:
    log.error("start_refused", reason=reason)
    return WorkerFailed("start")
