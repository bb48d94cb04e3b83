"""The one door to PostgreSQL: connection pools with server-side time limits, and what an error asks of the caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

# Classes of SQLSTATE that pass by themselves: connection, rollback (deadlock, 40001), resources (disk full 53100),
# operator intervention (restart), system error; and lock_not_available.
_TRANSIENT_CLASSES = frozenset({"08", "40", "53", "57", "58"})
# 55000 is what a database answers that was told to take no connections, as for maintenance.
_TRANSIENT_STATES = frozenset({"55000", "55P03", "25006", "25P03"})
# Those that no retry changes: a value that its column cannot hold, or that exceeds a limit of the server's program.
_DATA_CLASSES = frozenset({"22", "54"})
# What calls to the driver itself raise, such as that to listen: SQLAlchemy does not see them.
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# What the server refuses until somebody changes it or the address, by SQLSTATE: what is wrong, and what to do.
_ACCESS = {
    "28P01": ("refuses the login", "correct user and password in DATABASE_URL"),
    "28000": ("refuses the login", "correct the user in DATABASE_URL, or let it in by pg_hba.conf"),
    "3D000": ("has no such database", "create it, or correct DATABASE_URL"),
    "42501": ("refuses access", "grant it to the user of DATABASE_URL"),
}
# So long after its last use a connection is taken for alive.
_TRUSTED_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that the server enforces on each connection, in milliseconds; 0 is none."""

    lock_ms: int = 2_000
    idle_in_transaction_ms: int = 5_000
    statement_ms: int = 10_000


class TimedPool(AsyncAdaptedQueuePool):
    """A pool that tells `waited` for how many seconds each caller waited for its connection."""

    # Its logger is the library's, which is as quiet as the rest of it, and not one of ours.
    _sqla_logger_namespace = "sqlalchemy.pool.impl.TimedPool"

    waited: Callable[[float], None] | None = None

    def _do_get(self) -> ConnectionPoolEntry:
        started = time.perf_counter()
        try:
            return super()._do_get()
        finally:
            if self.waited is not None:
                self.waited(time.perf_counter() - started)


def connect(database_url: str, *, service: str, limits: Limits | None = None, connections_max: int = 5) -> AsyncEngine:
    """A lazy pool of at most `connections_max` connections; nothing is opened before the first use."""
    limits = limits or Limits()
    engine = create_async_engine(
        driver_url(database_url),
        poolclass=TimedPool,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=5,
        # Errors are logged, and what was stored of accounts does not belong there.
        hide_parameters=True,
        connect_args={
            "timeout": 5,
            # A server that froze enforces no limit of its own.
            "command_timeout": limits.statement_ms / 1000 + 5 if limits.statement_ms else None,
            "server_settings": {
                "application_name": f"firstvalue-{service}",
                "lock_timeout": str(limits.lock_ms),
                "idle_in_transaction_session_timeout": str(limits.idle_in_transaction_ms),
                "statement_timeout": str(limits.statement_ms),
                "timezone": "UTC",
            },
        },
    )
    _ask_idle_connections(engine)
    return engine


def _ask_idle_connections(engine: AsyncEngine) -> None:
    """Replace connections that died while nobody used them. The pool's own `pre_ping` asks before every use, which is
    three round trips each time; one that answered just now is trusted, and may break at any moment after a ping too."""
    pool, ping = engine.sync_engine.pool, engine.dialect.do_ping

    @sa.event.listens_for(pool, "checkin")
    def note(_: object, record: ConnectionPoolEntry) -> None:
        record.info["answered_at"] = time.monotonic()

    @sa.event.listens_for(pool, "checkout")
    def ask(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
        now = time.monotonic()
        if now - record.info.get("answered_at", now) > _TRUSTED_SECONDS:
            try:
                ping(connection)
            except (DBAPIError, asyncpg.PostgresError, OSError, engine.dialect.loaded_dbapi.Error) as error:
                raise InvalidatePoolError from error


def driver_url(database_url: str) -> sa.URL:
    """`postgresql://…` as everybody writes it, with the driver that this project uses."""
    return sa.make_url(database_url).set(drivername="postgresql+asyncpg")


def sqlstate(error: BaseException) -> str | None:
    """The five characters of the server's error, or None when the connection itself failed."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(origin, "sqlstate", None)
    return state if isinstance(state, str) else None


def is_transient(error: BaseException) -> bool:
    """Whether trying again later may succeed. A failed COMMIT is transient too, but may have happened."""
    if isinstance(error, (OSError, PoolTimeoutError, TimeoutError)):
        return True
    state = sqlstate(error)
    if state is not None:
        return state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES
    return isinstance(error, (OperationalError, InterfaceError, DBAPIError))


def access_advice(error: BaseException) -> str | None:
    """What to do about a refusal that no waiting mends, such as a wrong password; None for any other error."""
    refused = _ACCESS.get(sqlstate(error) or "")
    if refused is None:
        return None
    what, do = refused
    # Of a statement, unlike of a login, the library puts the class of the error before it.
    said = str(error.orig if isinstance(error, DBAPIError) else error).rpartition(">: ")[2].partition("\n")[0]
    return f"PostgreSQL {what} ({said}): {do}."


def is_unreachable(error: BaseException) -> bool:
    """Whether nobody answers at the address, or one that takes no connections now."""
    state = sqlstate(error)
    if state is not None:
        return state[:2] == "08" or state.startswith("57P")
    return isinstance(error, OSError)


def took_too_long(error: BaseException) -> bool:
    """Whether the server ended a statement at the limit of its time."""
    return sqlstate(error) == "57014"


def refuses_data(error: BaseException) -> bool:
    """Whether the server, or its driver, can never take one of the values that were sent."""
    state = sqlstate(error)
    return state is not None and state[:2] in _DATA_CLASSES


async def answers(engine: AsyncEngine) -> bool:
    """Whether a trivial query succeeds now."""
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
    except (DBAPIError, OSError, PoolTimeoutError):
        return False
    return True
