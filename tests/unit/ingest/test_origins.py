"""Which pages may use which key, and where a key may stand."""

from __future__ import annotations

import pytest

from services.ingest.credentials import FoundKey, key_of_request
from services.ingest.origins import check_key_in_address, check_origin, readable_origin
from services.runtime.access import Principal
from services.runtime.problems import Problem

PAGE = "https://app.acme.example"


def key_for(*origins: str) -> Principal:
    """A key with these origins."""
    return Principal("id", "name", frozenset({"events:write"}), frozenset(origins))


@pytest.mark.parametrize(
    ("origins", "origin", "may"),
    [
        ((PAGE,), PAGE, True),
        ((PAGE,), "HTTPS://App.Acme.Example", True),
        ((PAGE,), "https://other.example", False),
        ((PAGE,), "http://app.acme.example", False),
        ((PAGE,), "null", False),
        ((PAGE,), None, False),
        (("*",), "https://other.example", True),
        ((), None, True),
        ((), PAGE, True),
    ],
)
def test_a_browser_key_works_from_its_pages_alone(origins: tuple[str, ...], origin: str | None, may: bool) -> None:
    """Scheme, host and port are compared; a key of servers has no pages."""
    if may:
        check_origin(key_for(*origins), origin)
        return
    with pytest.raises(Problem) as refused:
        check_origin(key_for(*origins), origin)
    assert (refused.value.status, refused.value.code) == (403, "origin_not_allowed")


def test_only_browser_keys_stand_in_addresses() -> None:
    """Addresses are logged by everything on the way."""
    check_key_in_address(key_for(PAGE))
    with pytest.raises(Problem) as refused:
        check_key_in_address(key_for())
    assert (refused.value.status, refused.value.code) == (401, "key_in_address")


def test_keys_in_the_address_are_found() -> None:
    """Under both names, and not different ones."""
    assert key_of_request({}, b"writeKey=a%5Fb&x=1") == FoundKey("a_b", in_address=True)
    assert key_of_request({b"x-write-key": b"k"}, b"write_key=k") == FoundKey("k", in_address=True)
    assert key_of_request({b"x-write-key": b"k"}, b"ip=1") == FoundKey("k")
    with pytest.raises(Problem):
        key_of_request({b"x-write-key": b"k"}, b"writeKey=other")


@pytest.mark.parametrize("text", ["https://App.acme.example/", "http://127.0.0.1:3000", "http://[::1]:3000", "*"])
def test_origins_are_kept_as_they_are_compared(text: str) -> None:
    """Lower case, without a slash at the end."""
    assert readable_origin(text) == text.lower().rstrip("/")


@pytest.mark.parametrize("text", ["app.acme.example", "https://a.example/path", "https://*.a.example", "ftp://a", ""])
def test_what_is_no_origin_is_refused(text: str) -> None:
    """With what it should look like."""
    with pytest.raises(ValueError, match="https://app"):
        readable_origin(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("https://a.example:80", "https://a.example:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_port_that_browsers_leave_out_is_left_out(text: str, origin: str) -> None:
    """Else the key could be used from nowhere."""
    assert readable_origin(text) == origin
