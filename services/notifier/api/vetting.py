"""What an endpoint's URL and types must pass before they are stored."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.signals import TYPES
from services.notifier.domain.addresses import AddressRules
from services.notifier.domain.endpoint_url import UrlRefused, check_addresses, parse_url
from services.notifier.domain.filters import unknown_patterns
from services.notifier.sender.resolver import NameUnresolved, Resolver
from services.runtime.problems import Problem


class EndpointVetting:
    """Applies the address rules at the door; the sender applies them again at every attempt."""

    def __init__(self, *, rules: AddressRules, ports: frozenset[int], resolver: Resolver) -> None:
        self._rules = rules
        self._ports = ports
        self._resolver = resolver

    async def url(self, text: str) -> str:
        """The canonical URL; Problem 422 `url_invalid` or `address_forbidden`.

        A name that has no address now is accepted: its attempts will say so.
        """
        try:
            target = parse_url(text, ports=self._ports)
            if target.literal is not None:
                addresses = [target.literal]
            else:
                try:
                    addresses = await self._resolver.addresses(target.host)
                except NameUnresolved:
                    addresses = []
            check_addresses(target, addresses, self._rules)
        except UrlRefused as refusal:
            raise Problem(422, refusal.code, refusal.message) from None
        return target.url

    def types(self, patterns: Sequence[str]) -> None:
        """Problem 422 `type_unknown` when a pattern matches no signal type."""
        check_types(patterns)


def check_types(patterns: Sequence[str]) -> None:
    """Problem 422 `type_unknown` when a pattern matches no signal type."""
    unknown = unknown_patterns(patterns, TYPES)
    if unknown:
        named = ", ".join(unknown[:5])
        message = f"No signal has the type {named}; see GET /v1/signal-types; `account.*` is all of a family."
        raise Problem(422, "type_unknown", message)
