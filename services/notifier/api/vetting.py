"""What an endpoint's terms must pass before they are stored, beyond what each looks like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import ceil
from typing import Any

from schemas.signals import TYPES
from services.notifier.domain.addresses import AddressRules
from services.notifier.domain.endpoint_url import UrlRefused, check_addresses, parse_url
from services.notifier.domain.filters import unknown_patterns
from services.notifier.sender.resolver import NameUnresolved, Resolver
from services.runtime.problems import Problem


class EndpointVetting:
    """Applies the address rules at the door; the sender applies them again at every attempt."""

    def __init__(
        self,
        *,
        rules: AddressRules,
        ports: frozenset[int],
        resolver: Resolver,
        knows_time_zone: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._rules = rules
        self._ports = ports
        self._resolver = resolver
        self._knows_time_zone = knows_time_zone

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

    async def terms(self, given: Mapping[str, Any], *, rate_before: float | None = None) -> dict[str, Any]:
        """`given` terms as they are to be stored, with a burst wherever there is a rate; Problem 422 if one is refused.

        `rate_before` is the rate that holds when `given` names none.
        """
        terms = dict(given)
        if "url" in terms:
            terms["url"] = await self.url(terms["url"])
        check_types(terms.get("types", ()))
        window = terms.get("delivery_window")
        if window is not None and not await self._knows_time_zone(window["time_zone"]):
            message = f"Write the time zone as an IANA name, such as Europe/Berlin; {window['time_zone']!r} is none."
            raise Problem(422, "time_zone_unknown", message)
        rate = terms.get("rate_per_second", rate_before)
        if rate is None and terms.get("burst") is not None:
            raise Problem(422, "burst_without_rate", "Give rate_per_second as well, or leave burst out.")
        if rate is None:
            terms["burst"] = None
        elif terms.get("burst") is None and {"rate_per_second", "burst"} & terms.keys():
            terms["burst"] = max(1, ceil(rate))
        return terms


def check_types(patterns: Sequence[str]) -> None:
    """Problem 422 `type_unknown` when a pattern matches no signal type."""
    unknown = unknown_patterns(patterns, TYPES)
    if unknown:
        named = ", ".join(unknown[:5])
        message = f"No signal has the type {named}; see GET /v1/signal-types; `account.*` is all of a family."
        raise Problem(422, "type_unknown", message)
