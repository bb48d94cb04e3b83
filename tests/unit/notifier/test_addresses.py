"""Which addresses and URLs webhooks may go to."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.addresses import AddressRules, Tier, parse_rules, tier_of
from services.notifier.domain.endpoint_url import UrlRefused, check_addresses, parse_url

_FORBIDDEN = """
127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 169.254.0.1 169.254.169.254 100.100.100.200 168.63.129.16 224.0.0.1
239.255.255.250 192.0.0.1 192.0.2.1 198.51.100.7 203.0.113.9 192.88.99.1 198.18.0.1 198.19.255.255 240.0.0.1
255.255.255.255 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255
:: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 fc00::1 fd00:ec2::254
fd20:ce::254 2001:db8::1 3fff::1 2001::1 2001:1::1 2002:7f00:1:: 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1
64:ff9b:1::1 100::1 4000::1 5f00::1
"""
_PUBLIC = "8.8.8.8 1.1.1.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 2606:4700::1111 2a00:1450::1 64:ff9b::8.8.8.8"

_AMBIGUOUS = """
http://2130706433/ http://0x7f000001/ http://0177.0.0.1/ http://127.1/ http://0x7f.1/ https://1.2.3.04/
https://user@example.com/ https://user:word@example.com/ https://example.com/#part https://example.com#
ftp://example.com/
https:///path https://example.com:0/ https://example.com:99999/ https://example.com:/
https://localhost/ https://intranet/ https://printer.local/ https://db.internal/ https://a.localhost/
https://example.com./ https://-a.example.com/ https://[fe80::1%25eth0]/ https://[::1/ https://exam\\ple.com/
https://b\u00fccher.example/ //example.com/ example.com https://example.com/\u00e9 https://1.2.3.4.5/
https://foo.0x7f/
"""


@pytest.mark.parametrize("text", _FORBIDDEN.split())
def test_inside_addresses_are_refused(text: str) -> None:
    """Nothing that leads inside is permitted by default, in whatever form it is written."""
    assert not AddressRules().permits(ip_address(text))


@pytest.mark.parametrize("text", _PUBLIC.split())
def test_public_addresses_are_permitted(text: str) -> None:
    """The neighbours of forbidden ranges are public, and NAT64 is judged by its IPv4 part."""
    assert AddressRules().permits(ip_address(text))


@given(st.ip_addresses(v=4))
def test_nat64_is_judged_by_its_ipv4(address: IPv4Address) -> None:
    """A translated address is of the same kind as the one it leads to."""
    assert tier_of(ip_address(int(ip_address("64:ff9b::")) + int(address))) is tier_of(address)


@given(st.ip_addresses())
def test_an_opening_covers_exactly_one_address(address: IPv4Address) -> None:
    """Opening an address opens it and not the next one."""
    rules = AddressRules(frozenset({address}))
    assert rules.permits(address)
    if int(address) % 256 < 255:
        assert rules.tier(address + 1) is not Tier.OPENED


@pytest.mark.parametrize(("network", "inside"), [("10.1.0.0/16", "10.1.2.3"), ("fd12::/16", "fd12::9")])
def test_private_networks_open_private_ranges(network: str, inside: str) -> None:
    """The operator's range opens itself and no other private address; metadata services stay closed in any range."""
    rules = parse_rules("", network)
    assert rules.permits(ip_address(inside))
    assert not rules.permits(ip_address("192.168.0.1"))
    everything = parse_rules("", "100.64.0.0/10,fc00::/7")
    for metadata in ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254"):
        assert not everything.permits(ip_address(metadata))


@pytest.mark.parametrize("network", ["127.0.0.0/8", "0.0.0.0/0", "169.254.0.0/16", "8.0.0.0/8", "fe80::/10", "::/0"])
def test_only_private_ranges_can_be_opened(network: str) -> None:
    """A range outside private space is refused at start."""
    with pytest.raises(ValueError, match="private range"):
        parse_rules("", network)


@pytest.mark.parametrize("url", [*_AMBIGUOUS.split(), "https://exa mple.com/", "https://example.com/\r\nx: y"])
def test_ambiguous_urls_are_refused(url: str) -> None:
    """What two parsers could read differently, or what names an inside host, is refused with a stable code."""
    with pytest.raises(UrlRefused) as refusal:
        parse_url(url)
    assert refusal.value.code in ("url_invalid", "address_forbidden")


def test_urls_become_canonical() -> None:
    """Host in lower case, default port dropped, path and query untouched."""
    assert parse_url("HTTPS://Hooks.Example.com:443/A%2Fb?c=d").url == "https://hooks.example.com/A%2Fb?c=d"
    assert parse_url("https://[2606:4700:0::1111]:8443").url == "https://[2606:4700::1111]:8443/"
    assert parse_url("https://example.com?x").url == "https://example.com/?x"


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "https://8.8.8.8:22/", "http://8.8.8.8:8080/", "https://127.0.0.1/"]
)
def test_http_odd_ports_and_loopback_need_an_opening(url: str) -> None:
    """Plain http, a port that is not allowed, or an inside address work only where the operator opened the address."""
    target = parse_url(url)
    assert target.literal is not None
    with pytest.raises(UrlRefused) as refusal:
        check_addresses(target, [target.literal], AddressRules())
    assert refusal.value.code == "address_forbidden"
    check_addresses(target, [target.literal], AddressRules(frozenset({target.literal})))


def test_one_forbidden_answer_refuses_the_name() -> None:
    """A name with a public and an inside address is refused."""
    target = parse_url("https://hooks.example.com/")
    check_addresses(target, [ip_address("8.8.8.8")], AddressRules())
    with pytest.raises(UrlRefused):
        check_addresses(target, [ip_address("8.8.8.8"), ip_address("10.0.0.1")], AddressRules())


def test_plain_http_to_an_unknown_name_is_refused() -> None:
    """It could only ever be allowed to lead to an opened address, and nobody knows where it leads; https may wait."""
    check_addresses(parse_url("https://hooks.example.com/"), [], AddressRules())
    with pytest.raises(UrlRefused):
        check_addresses(parse_url("http://hooks.example.com/"), [], AddressRules())
