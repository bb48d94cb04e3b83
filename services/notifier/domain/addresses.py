"""Which network addresses a webhook may go to: an explicit table, because the library's idea of global has holes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Tier(StrEnum):
    """What kind of address it is; all but PUBLIC and OPENED, and PRIVATE where a network was allowed, are refused."""

    PUBLIC = "public"
    OPENED = "opened"
    PRIVATE = "private"
    METADATA = "metadata"
    LOOPBACK = "loopback"
    UNSPECIFIED = "unspecified"
    LINK_LOCAL = "link_local"
    MULTICAST = "multicast"
    DOCUMENTATION = "documentation"
    TUNNEL = "tunnel"
    RESERVED = "reserved"


# Cloud metadata services: they hand out credentials, so no network allowance reaches them.
_METADATA = frozenset(
    ip_address(text)
    for text in ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)

_TABLE: tuple[tuple[Network, Tier], ...] = tuple(
    (ip_network(text), tier)
    for tier, texts in (
        (Tier.UNSPECIFIED, ("0.0.0.0/8", "::/128")),
        (Tier.LOOPBACK, ("127.0.0.0/8", "::1/128")),
        (Tier.LINK_LOCAL, ("169.254.0.0/16", "fe80::/10", "fec0::/10")),
        (Tier.MULTICAST, ("224.0.0.0/4", "ff00::/8")),
        (Tier.DOCUMENTATION, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")),
        (Tier.TUNNEL, ("192.88.99.0/24", "2001::/32", "2002::/16", "64:ff9b:1::/48")),
        (Tier.PRIVATE, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")),
        (Tier.RESERVED, ("192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "2001::/23", "::/8")),
    )
    for text in texts
)
# The only IPv6 space from which public addresses are given out.
_IPV6_PUBLIC = IPv6Network("2000::/3")
# Translators put the whole IPv4 address into the last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AddressRules:
    """The operator's choice: `opened` addresses on every port and over http, `private_networks` on the usual terms."""

    opened: frozenset[Address] = frozenset()
    private_networks: tuple[Network, ...] = ()

    def tier(self, address: Address) -> Tier:
        """What kind of address this is here."""
        if address in self.opened and not _scoped(address):
            return Tier.OPENED
        return tier_of(address)

    def permits(self, address: Address) -> bool:
        """Whether a webhook may connect to `address`."""
        tier = self.tier(address)
        if tier is Tier.PRIVATE:
            judged = _judged(address)
            return any(judged.version == network.version and judged in network for network in self.private_networks)
        return tier in (Tier.PUBLIC, Tier.OPENED)


def tier_of(address: Address) -> Tier:
    """The kind of `address` by the table alone; an address behind NAT64 is judged by its IPv4 part."""
    if _scoped(address):
        return Tier.LINK_LOCAL
    address = _judged(address)
    if address in _METADATA:
        return Tier.METADATA
    for network, tier in _TABLE:
        if address.version == network.version and address in network:
            return tier
    if address.version == 6 and address not in _IPV6_PUBLIC:
        return Tier.RESERVED
    return Tier.PUBLIC


def _judged(address: Address) -> Address:
    if address.version == 6 and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _scoped(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address.scope_id is not None


def parse_rules(opened: str, private_networks: str) -> AddressRules:
    """Rules from comma-separated exact addresses and CIDR ranges; ValueError names what cannot be read.

    Ranges must lie inside private space: nothing else can be opened as a range.
    """
    networks = tuple(ip_network(text) for text in _listed(private_networks))
    for network in networks:
        if not _inside_private(network):
            raise ValueError(f"{network} is not inside a private range; open single addresses exactly instead")
    return AddressRules(frozenset(ip_address(text) for text in _listed(opened)), networks)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _inside_private(network: Network) -> bool:
    return any(
        tier is Tier.PRIVATE
        and network.version == private.version
        and network.network_address in private
        and network.broadcast_address in private
        for private, tier in _TABLE
    )
