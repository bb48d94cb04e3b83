"""What an attempt's error says of it, and which settings are refused."""

from __future__ import annotations

import base64
import errno
from typing import Any

import aiohttp
import pytest
import yarl
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr, ValidationError

from services.notifier.domain.outcome import Result
from services.notifier.sender.failures import ERROR_CHARACTERS_MAX, describe, result_of_failure
from services.notifier.settings import NotifierSettings


@given(st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=400))
def test_error_text_can_be_stored_and_logged(text: str) -> None:
    """Whatever a receiver makes an error quote: bounded, encodable, without NUL or line breaks."""
    described = describe(ValueError(text), Result.PROTOCOL)
    assert 0 < len(described) <= ERROR_CHARACTERS_MAX
    assert described.isprintable()
    described.encode("utf-8")


def test_error_of_a_private_peer_quotes_nothing() -> None:
    """What stands inside a private network is not read through the log of attempts."""
    assert "220 mail" not in describe(ValueError("Bad status line: 220 mail.corp"), Result.PROTOCOL, private=True)


def test_error_does_not_tell_the_url() -> None:
    """The path of a webhook's URL may be the credential; the client quotes it with every answer that it cannot read."""
    url = yarl.URL("https://hooks.example.com/services/T0/B0/token?key=k1")
    request = aiohttp.RequestInfo(url, "POST", CIMultiDictProxy(CIMultiDict()), url)
    described = describe(aiohttp.ClientResponseError(request, (), status=400, message="no status"), Result.PROTOCOL)
    assert described == "400, message='no status'"


def test_a_receiver_that_does_not_listen_is_told_in_words() -> None:
    """The host, the port and the system's reason, and nothing of TLS where none was asked for."""
    key = ConnectionKey("hooks.example.com", 9000, False, True, None, None, None)
    error = aiohttp.ClientConnectorError(key, OSError(errno.ECONNREFUSED, "Connect call failed ('192.0.2.1', 9000)"))
    assert describe(error, Result.CONNECT) == "Cannot connect to hooks.example.com:9000: Connection refused"


@pytest.mark.parametrize(("number", "result"), [(errno.ECONNREFUSED, Result.CONNECT), (errno.EMFILE, Result.INTERNAL)])
def test_what_we_have_too_few_of_is_charged_to_no_endpoint(number: int, result: Result) -> None:
    """No connection for want of a file is our own failure."""
    key = ConnectionKey("hooks.example.com", 443, True, True, None, None, None)
    error = aiohttp.ClientConnectorError(key, OSError(number, "as it happens"))
    assert result_of_failure(error, connected=False) is result


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retry_schedule_seconds", "5,-1"),
        ("retry_schedule_seconds", "0"),
        ("retry_schedule_seconds", "inf"),
        ("retry_schedule_seconds", ""),
        ("ports", "70000"),
        ("ids_kept_days", 30),
        ("lease_seconds", 0),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: Any) -> None:
    """A pause of no length would retry without end; a short memory of ids would deliver a replayed topic twice."""
    key = SecretStr(base64.b64encode(bytes(32)).decode())
    with pytest.raises(ValidationError, match=name):
        NotifierSettings(secret_key=key, **{name: value})
