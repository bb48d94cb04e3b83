"""Connections that go only to permitted addresses, are not kept for long, and tell the attempt about themselves.

The stock connector sends address literals past its resolver, so the last check sits where the socket is made.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from services.notifier.domain.addresses import Address, AddressRules, Tier
from services.notifier.sender.bounded_head import BoundedHead
from services.notifier.sender.resolver import Resolver
from services.runtime.crash_points import crash_point

_KEEPALIVE_SECONDS = 15.0


class AddressBlocked(OSError):
    """The address may not be connected to; `tier` says what kind it is."""

    def __init__(self, address: Address, tier: Tier) -> None:
        super().__init__(f"{address} is a {tier} address, which is not open to webhooks")
        self.tier = tier


@dataclass(slots=True)
class Wire:
    """What happens to one attempt's connection; the attempt sets the first two, the connector the rest."""

    needs_opening: bool = False
    fresh: bool = False
    reused: bool = False
    resolved_at: float | None = None
    connected_at: float | None = None
    answered_at: float | None = None
    private: bool = False
    protocol: BoundedHead | None = None


wire_in_use: ContextVar[Wire] = ContextVar("wire_in_use")


def vet(address: Address, rules: AddressRules, *, needs_opening: bool) -> Tier:
    """The address's tier; raises AddressBlocked when a webhook may not go there."""
    tier = rules.tier(address)
    if not rules.permits(address) or (needs_opening and tier is not Tier.OPENED):
        raise AddressBlocked(address, tier)
    return tier


class VettingConnector(aiohttp.TCPConnector):
    """Unlimited, because the dispatcher limits; without a name cache, because the resolver has its own."""

    def __init__(
        self,
        *,
        rules: AddressRules,
        resolver: Resolver,
        tls: SSLContext,
        age_seconds_max: float,
    ) -> None:
        super().__init__(
            limit=0,
            ssl=tls,
            resolver=resolver,
            use_dns_cache=False,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            socket_factory=self._open_socket,
        )
        # The library has no parameter for it.
        self._factory = partial(BoundedHead, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        self._rules = rules
        self._age_seconds_max = age_seconds_max
        self._born: WeakKeyDictionary[ResponseHandler, tuple[float, Tier]] = WeakKeyDictionary()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """A connection to a vetted peer, younger than the maximum age, and new when the attempt needs a fresh one."""
        wire = wire_in_use.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert isinstance(protocol, BoundedHead)
            known = self._born.get(protocol)
            now = time.monotonic()
            if known is None:
                known = self._born[protocol] = (now, self._vet_peer(connection, wire))
                wire.reused = False
            elif wire.fresh or now - known[0] > self._age_seconds_max:
                connection.close()
                continue
            else:
                wire.reused = True
            protocol.expect_answer()
            wire.protocol = protocol
            wire.connected_at = now
            wire.private = known[1] is Tier.PRIVATE
            crash_point("notifier.connected")
            return connection

    def _open_socket(self, address_info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = address_info
        vet(ip_address(str(address[0])), self._rules, needs_opening=wire_in_use.get().needs_opening)
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def _vet_peer(self, connection: Connection, wire: Wire) -> Tier:
        transport = connection.transport
        peer = transport.get_extra_info("peername") if transport else None
        try:
            if not peer:
                raise ConnectionResetError("the connection ended while it was made")
            return vet(ip_address(str(peer[0])), self._rules, needs_opening=wire.needs_opening)
        except OSError:
            connection.close()
            raise


class MarkedRequest(aiohttp.ClientRequest):
    """Names the moment at which the request has left."""

    async def write_bytes(self, *arguments: Any, **named: Any) -> None:
        """Write the body, as the library does."""
        await super().write_bytes(*arguments, **named)
        # The transport has handed the bytes to the kernel by the next turn of the loop.
        self.loop.call_soon(crash_point, "notifier.sent")
