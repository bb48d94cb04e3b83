"""Logs: one JSON object per line on standard error; its encoding escapes control characters, so no line is forged."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import structlog

# All that a line may tell. Bodies, addresses, keys and what clients call things are not among it.
FIELDS = frozenset(
    [
        "action",
        "after_seq",
        "again_in_seconds",
        "became",
        "beginning",
        "begins",
        "by",
        "deliveries",
        "delivery",
        "digests",
        "duration_ms",
        "endpoint",
        "error",
        "event",
        "exception",
        "expected",
        "expected_seq",
        "failures",
        "found",
        "from_offset",
        "held",
        "job",
        "key",
        "late",
        "ledger_ms",
        "level",
        "logger",
        "message",
        "method",
        "metrics_port",
        "missing_from",
        "missing_to",
        "next_offset",
        "number",
        "offset",
        "out_seq",
        "outcomes",
        "part",
        "partition",
        "partitions",
        "parts",
        "plans",
        "port",
        "position",
        "reason",
        "request_id",
        "result",
        "route",
        "seconds",
        "service",
        "signal",
        "signals",
        "since",
        "state",
        "status_code",
        "timestamp",
        "topic",
        "trigger",
        "type",
        "unlisted",
        "unpublished",
        "waiting_max",
        "worker",
    ]
)

# Of an error and each of its causes, the innermost calls.
FRAMES_MAX = 20


def configure_logs(*, service: str, level: str) -> None:
    """Route structlog and the standard library's loggers to one JSON stream; `level` such as `info`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_without_message),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _name_service(service),
            _tell_only_listed,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # It warns of each request that is no HTTP, so that anybody could fill the disk.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # Their own lines quote the statements and records that they work on.
    for chatty in ("uvicorn.access", "sqlalchemy", "alembic", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )


def first_line(error: Exception) -> str:
    """What an error of the database or the broker says, without the statement that it quotes below."""
    return str(error).partition("\n")[0][:200]


def _tell_only_listed(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave out what is not in FIELDS, and say by name that it was."""
    unlisted = sorted(set(entry) - FIELDS)
    if not unlisted:
        return entry
    return {name: value for name, value in entry.items() if name in FIELDS} | {"unlisted": unlisted}


def _name_service(service: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **entry}

    return add


def _without_message(exc_info: Any) -> str:
    """Types and places of an error and its causes, newest call last; the number of an error of the system. Messages are
    left out: those of libraries quote what they could not take, such as a request's body or a key."""
    told: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None and len(told) < 5:
        frames = [
            f"{frame.f_code.co_filename.rpartition('/')[2]}:{line} {frame.f_code.co_name}"
            for frame, line in traceback.walk_tb(error.__traceback__)
        ]
        number = f" {error.errno}" if isinstance(error, OSError) and error.errno is not None else ""
        told.append(
            f"{type(error).__module__}.{type(error).__qualname__}{number} at {' > '.join(frames[-FRAMES_MAX:])}"
        )
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " because of ".join(told)
