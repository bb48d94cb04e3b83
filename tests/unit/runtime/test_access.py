"""API keys: their text can be told from anything else, and only the whole key matches what is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.access import Principal, Scope, StoredKey, generate_key, hash_key, public_id

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_a_new_key_names_its_id() -> None:
    """The id that is listed can be read from the key that was shown once."""
    key_id, key = generate_key()
    assert key.startswith("fv_")
    assert public_id(key) == key_id
    assert generate_key()[1] != key


@given(st.text(max_size=140))
def test_other_text_is_no_key(text: str) -> None:
    """Whatever people send instead of a key is told apart without asking anybody."""
    assert public_id(text) is None


@given(position=st.integers(min_value=0), letter=st.sampled_from("abcdefg234567"))
def test_a_mistyped_key_is_recognised(position: int, letter: str) -> None:
    """One wrong character anywhere makes the check fail."""
    _, key = generate_key()
    index = position % len(key)
    changed = key[:index] + letter + key[index + 1 :]
    assert (public_id(changed) is None) == (changed != key)


def test_hash_depends_on_key_and_pepper() -> None:
    """A stolen table is of no use without the pepper."""
    _, key = generate_key()
    assert hash_key(key, pepper="a") != hash_key(key, pepper="b")
    assert hash_key(key, pepper="a") != hash_key(key + "x", pepper="a")


@pytest.mark.parametrize(
    ("scopes", "wanted", "may"),
    [
        ({Scope.ADMIN}, Scope.PLANS_WRITE, True),
        ({Scope.EVENTS_WRITE}, Scope.EVENTS_WRITE, True),
        ({Scope.EVENTS_WRITE}, Scope.ACCOUNTS_READ, False),
        (set(), Scope.EVENTS_WRITE, False),
    ],
)
def test_scopes(scopes: set[Scope], wanted: Scope, may: bool) -> None:
    """A key may do what its scopes say; admin includes all."""
    assert Principal("id", "name", frozenset(scopes)).may(wanted) is may


def test_validity() -> None:
    """A key ends when it expires or is revoked."""
    key = StoredKey("id", "name", frozenset(), b"", expires_at=NOW)
    assert key.valid_at(NOW - timedelta(seconds=1))
    assert not key.valid_at(NOW)
    assert not StoredKey("id", "name", frozenset(), b"", revoked_at=NOW).valid_at(NOW)
