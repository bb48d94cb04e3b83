"""Logs: one JSON object per line on standard error; its encoding escapes control characters, so no line is forged."""

from __future__ import annotations

import logging
import sys

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
        "trigger",
        "type",
        "unlisted",
        "unpublished",
        "waiting_max",
        "worker",
    ]
)


def configure_logs(*, service: str, level: str) -> None:
    """Route structlog and the standard library's loggers to one JSON stream; `level` such as `info`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
    for chatty in ("uvicorn.access", "sqlalchemy.engine", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )


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
