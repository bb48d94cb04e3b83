"""Reads an endpoint's URL strictly: what two parsers could understand differently is refused, not interpreted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urlsplit

from services.notifier.domain.addresses import Address, AddressRules, Tier

URL_CHARACTERS_MAX = 2048
PORTS = frozenset({443, 80, 8443, 8080})
_DEFAULT_PORTS = {"https": 443, "http": 80}

_PLAIN = re.compile(r"[!-~]+")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
# What resolvers of different libraries read as an IPv4 address: decimal, octal, hexadecimal, with 1 to 4 parts.
_NUMERIC = re.compile(r"(0[xX][0-9A-Fa-f]*|[0-9]+)")
_INSIDE_SUFFIXES = (".local", ".internal", ".localhost", ".localdomain", ".home.arpa")


class UrlRefused(ValueError):
    """The URL cannot be an endpoint's; `code` is stable, the message says what to write instead."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart: `path` with its query; `literal` when the host is an address itself.

    `needs_opening`: plain http or an unusual port, allowed only to addresses that the operator opened exactly.
    """

    scheme: str
    host: str
    port: int
    path: str
    literal: Address | None
    needs_opening: bool

    @property
    def url(self) -> str:
        """The canonical text, which is what is connected to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def parse_url(text: str, *, ports: frozenset[int] = PORTS) -> Target:
    """The target of `text`; UrlRefused `url_invalid` or `address_forbidden`."""
    if len(text) > URL_CHARACTERS_MAX or not _PLAIN.fullmatch(text) or any(sign in text for sign in '\\"<>^`{|}'):
        raise UrlRefused("url_invalid", f"Write the URL in at most {URL_CHARACTERS_MAX} plain, encoded characters.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UrlRefused("url_invalid", f"Correct the URL: {error}.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise UrlRefused("url_invalid", "Write the URL as https://host/path.")
    if "@" in parts.netloc:
        raise UrlRefused("url_invalid", "Leave user and password out of the URL; requests are signed instead.")
    if "#" in text:
        raise UrlRefused("url_invalid", "Leave the fragment (#…) out of the URL; it is never sent.")
    if parts.netloc.endswith(":") or port == 0:
        raise UrlRefused("url_invalid", "Write a port from 1 to 65535, or none.")
    port = port or _DEFAULT_PORTS[parts.scheme]
    host, literal = _read_host(parts.hostname)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port,
        path=path,
        literal=literal,
        needs_opening=parts.scheme == "http" or port not in ports,
    )


def check_addresses(target: Target, addresses: list[Address], rules: AddressRules) -> None:
    """UrlRefused `address_forbidden` if any of the host's addresses may not be connected to, or if none is known of a
    host that only an opened address would allow."""
    for address in addresses:
        tier = rules.tier(address)
        if not rules.permits(address):
            raise UrlRefused(
                "address_forbidden",
                f"{target.host} leads to {address}, a {tier} address, which is not open to webhooks; use a public one, "
                "or have the operator open it in FIRSTVALUE_NOTIFIER_ALLOWED_ADDRESSES or …_PRIVATE_NETWORKS.",
            )
    opened = bool(addresses) and all(rules.tier(address) is Tier.OPENED for address in addresses)
    if target.needs_opening and not opened:
        raise UrlRefused(
            "address_forbidden",
            "Use https and one of the ports the operator allows (443, 80, 8443, 8080 and configured ones); plain "
            "http and other ports work only to addresses in FIRSTVALUE_NOTIFIER_ALLOWED_ADDRESSES.",
        )


def _read_host(host: str) -> tuple[str, Address | None]:
    if ":" in host:
        return _read_ipv6(host)
    if host.endswith("."):
        raise UrlRefused("url_invalid", "Leave out the dot after the host name.")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _read_ipv4(host)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("url_invalid", "Write the host as a DNS name in ASCII (xn-- for others) or as an address.")
    if len(labels) == 1 or host.lower().endswith(_INSIDE_SUFFIXES):
        raise UrlRefused("address_forbidden", f"{host} is a name of an inside network; use a public DNS name.")
    return host.lower(), None


def _read_ipv4(host: str) -> tuple[str, Address]:
    try:
        return host, IPv4Address(host)
    except AddressValueError:
        message = "Write an IPv4 address as four decimal numbers without leading zeros, such as 192.0.2.1."
        raise UrlRefused("address_forbidden", message) from None


def _read_ipv6(host: str) -> tuple[str, Address]:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        raise UrlRefused("url_invalid", "Write an IPv6 address in brackets, such as [2001:db8::1].") from None
    if address.scope_id is not None:
        raise UrlRefused("address_forbidden", "Leave out the address's zone (%…); link-local is not open to webhooks.")
    return address.compressed, address
