"""What the services make of a failed call, by the server's SQLSTATE: try again, never, or blame the value."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.runtime.postgres import is_transient, refuses_data, sqlstate


def failed(state: str) -> DBAPIError:
    """A call that the server refused, as the library raises it."""
    return DBAPIError("SELECT 1", None, asyncpg.PostgresError.new({"C": state, "M": "refused"}))


@pytest.mark.parametrize(
    "state",
    [
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "53100",  # disk_full, of data and of the write-ahead log
        "53200",  # out_of_memory
        "53300",  # too_many_connections
        "25006",  # read_only_sql_transaction: a replica that was not promoted yet
        "55000",  # object_not_in_prerequisite_state: a database that takes no connections
        "55P03",  # lock_not_available
        "57014",  # query_canceled, by a timeout
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "58030",  # io_error
        "08006",  # connection_failure
    ],
)
def test_trouble_of_the_server_is_waited_out(state: str) -> None:
    """Nobody's record is to blame: no dead letter, and no process ends for it."""
    assert sqlstate(failed(state)) == state
    assert is_transient(failed(state))
    assert not refuses_data(failed(state))


@pytest.mark.parametrize("state", ["22021", "22P05", "54000"])
def test_a_value_that_can_never_be_stored_is_to_blame(state: str) -> None:
    """Trying again would be in vain for ever."""
    assert refuses_data(failed(state))
    assert not is_transient(failed(state))


@pytest.mark.parametrize("state", ["42P01", "42601", "23505"])
def test_a_mistake_of_ours_is_neither(state: str) -> None:
    """A missing table, wrong SQL, a violated constraint: a process that goes on would hide it."""
    assert not is_transient(failed(state))
    assert not refuses_data(failed(state))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        PoolTimeoutError(),
        InterfaceError("SELECT 1", None, asyncpg.InterfaceError("the connection is closed")),
        DBAPIError("COMMIT", None, asyncpg.ConnectionDoesNotExistError("closed in the middle of the operation")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_fails_is_waited_for(error: Exception) -> None:
    """Refused, cut, or none free in time; a COMMIT that failed so may have happened."""
    assert is_transient(error)
    assert not refuses_data(error)
