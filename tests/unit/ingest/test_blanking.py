"""API keys in bodies are blanked, however their names and they themselves are written."""

from __future__ import annotations

import pytest

from services.ingest.blanking import without_key, without_keys, without_write_key
from services.runtime.access import generate_key

KEY = generate_key()[1]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"writeKey" : "secret","x":NaN}',
        b'{"x":1,"writeKey":"secret',
        b'{"writeKey":"secret\\',
        b'{"write\\u004bey":"secret","x":NaN}',
        b'{"\\u0061pi\\u005Fkey" : "secret',
        b'{"toke\\u006e":"secret"',
    ],
)
def test_keys_do_not_enter_dead_letters(raw: bytes) -> None:
    """Also not where the event is malformed or cut off in the middle of the key."""
    assert b"secret" not in without_keys(raw)


@pytest.mark.parametrize("raw", ["{'api_key': '%s'}", "write_key=%s&x=1", '{"k":"%s', "%s"])
def test_what_reads_like_a_key_does_not_enter_dead_letters(raw: str) -> None:
    """A body that is no JSON may have it anywhere; cut off, it is none."""
    assert KEY not in without_keys((raw % KEY).encode()).decode()


def test_a_name_may_be_written_with_escapes() -> None:
    """An accepted event is the same JSON with them and without; a backslash that is escaped itself begins none."""
    assert without_write_key(b'{"write\\u004bey":"secret","\\u0061":1}') == b'{"writeKey":"","a":1}'
    assert without_key(b'{"\\u0074oken":"f\\u0076_1"}', "fv_1") == b'{"token":""}'
    for untouched in (b'{"write\\\\u004bey":"secret"}', b'{"\\u0061":"\\u00e9"}'):
        assert without_write_key(untouched) == without_key(untouched, "fv_1") == untouched
