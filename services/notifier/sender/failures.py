"""Turns what the HTTP client raises into a result of the closed set and a sentence for the log."""

from __future__ import annotations

import errno
import os
import ssl
import traceback

import aiohttp

from services.notifier.domain.outcome import Result
from services.notifier.sender.connector import AddressBlocked
from services.notifier.sender.resolver import NameUnresolved

ERROR_CHARACTERS_MAX = 300

# What this machine has too few of: no fault of the other side.
_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# The first match counts: special before general.
_RESULTS: tuple[tuple[type[BaseException], Result], ...] = (
    (AddressBlocked, Result.BLOCKED_ADDRESS),
    (NameUnresolved, Result.DNS),
    (aiohttp.ClientConnectorDNSError, Result.DNS),
    (aiohttp.ClientConnectorCertificateError, Result.TLS),
    (aiohttp.ClientConnectorSSLError, Result.TLS),
    (ssl.SSLError, Result.TLS),
    (aiohttp.ConnectionTimeoutError, Result.CONNECT),
    (aiohttp.ClientConnectorError, Result.CONNECT),
    (aiohttp.ServerDisconnectedError, Result.RESET),
    (aiohttp.ClientOSError, Result.RESET),
    (aiohttp.ClientPayloadError, Result.RESET),
    (aiohttp.ClientConnectionError, Result.RESET),
    (aiohttp.ClientError, Result.PROTOCOL),
    (TimeoutError, Result.TIMEOUT),
    (ConnectionError, Result.RESET),
)


def result_of_failure(error: BaseException, *, connected: bool) -> Result:
    """The result that `error` stands for; INTERNAL when it is none of the network's."""
    for cause in (error, error.__cause__, getattr(error, "os_error", None)):
        if isinstance(cause, AddressBlocked | NameUnresolved):
            error = cause
    if getattr(error, "errno", None) in _OUR_OWN:
        return Result.INTERNAL
    if isinstance(error, TimeoutError) and not connected:
        return Result.CONNECT
    return next((result for kind, result in _RESULTS if isinstance(error, kind)), Result.INTERNAL)


def describe(error: BaseException, result: Result, *, private: bool = False) -> str:
    """One bounded, printable sentence: what a receiver put into an error reaches the database and the log.

    Of a `private` peer only the kind of error is told, because the text may quote what it sent.
    """
    if result is Result.TIMEOUT:
        return "No complete answer within the endpoint's timeout."
    if result is Result.CONNECT and isinstance(error, TimeoutError):
        return "No connection within the time allowed."
    if private:
        return f"{type(error).__name__} at a private address."
    text = (_told(error) or type(error).__name__)[:ERROR_CHARACTERS_MAX]
    return "".join(character if character.isprintable() else " " for character in text)


def clear_frames(error: BaseException) -> None:
    """Take their variables from the frames that `error` and its causes passed through, for it is told and done with.

    Such a frame often holds an error that holds the frame: with it the body stayed until the collector of garbage came.
    """
    causes: list[BaseException | None] = [error]
    seen: set[int] = set()
    while causes:
        cause = causes.pop()
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            traceback.clear_frames(cause.__traceback__)
            causes += (cause.__cause__, cause.__context__)


def _told(error: BaseException) -> str:
    """What the error says, without the URL that the client adds to an answer it cannot read: it may hold a token."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{error.status}, message={error.message!r}"
    if type(error) is aiohttp.ClientConnectorError:
        # Its own text speaks of TLS also where none was asked for.
        why = os.strerror(error.os_error.errno) if error.os_error.errno else error.os_error
        return f"Cannot connect to {error.host}:{error.port}: {why}"
    return str(error)
