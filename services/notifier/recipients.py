"""Endpoints as the sender needs them, kept in memory by revision: a change of an endpoint takes effect at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.notifier.domain.endpoint_limit import ENDPOINTS_MAX
from services.notifier.domain.endpoint_url import UrlRefused, parse_url
from services.notifier.domain.outcome import Result
from services.notifier.sender.request import Recipient
from services.notifier.store.endpoint_rows import Endpoint
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.queue import Claimed
from services.notifier.store.secrets import Secrets


@dataclass(frozen=True, slots=True)
class Unsendable:
    """An endpoint to which nothing can be sent now, and the result that its attempts get."""

    id: str
    revision: int
    result: Result
    error: str
    concurrency_max: int = 1


class Recipients:
    """Looks up endpoints of claimed deliveries, asking the database only for revisions not seen."""

    def __init__(self, store: EndpointStore, *, ports: frozenset[int]) -> None:
        self._store = store
        self._ports = ports
        self._known: dict[str, Recipient | Unsendable] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._known)

    async def of(self, claims: Iterable[Claimed]) -> dict[str, Recipient | Unsendable]:
        """The recipient of each claim by endpoint id, at least as new as the claim."""
        return await self._as_new_as({claim.endpoint_id: claim.revision for claim in claims})

    async def newest(self, endpoint_ids: Iterable[str]) -> dict[str, Recipient | Unsendable]:
        """The recipients of these endpoints as they are now, but for those that are to be left alone."""
        return await self._as_new_as(await self._store.revisions(endpoint_ids))

    async def _as_new_as(self, revisions: Mapping[str, int]) -> dict[str, Recipient | Unsendable]:
        stale = [id_ for id_, revision in revisions.items() if not self._current(id_, revision)]
        if stale:
            if len(self._known) > ENDPOINTS_MAX:
                # There are not so many: the others were deleted, and their keys are not to be kept.
                self._known = {id_: known for id_, known in self._known.items() if id_ in revisions}
            for endpoint, secrets in await self._store.sendable(stale):
                self._known[endpoint.id] = self._prepare(endpoint, secrets)
        return {id_: self._known[id_] for id_ in revisions}

    def _current(self, endpoint_id: str, revision: int) -> bool:
        known = self._known.get(endpoint_id)
        return known is not None and known.revision >= revision

    def _prepare(self, endpoint: Endpoint, secrets: Secrets) -> Recipient | Unsendable:
        if not secrets.keys:
            return Unsendable(endpoint.id, endpoint.revision, Result.INTERNAL, "The endpoint's secret is unreadable.")
        try:
            target = parse_url(endpoint.url, ports=self._ports)
        except UrlRefused as refusal:
            return Unsendable(endpoint.id, endpoint.revision, Result.BLOCKED_ADDRESS, refusal.message)
        slots = endpoint.retry_schedule_seconds
        return Recipient(
            id=endpoint.id,
            revision=endpoint.revision,
            target=target,
            keys=secrets.keys,
            timeout_seconds=endpoint.timeout_seconds,
            concurrency_max=endpoint.concurrency_max,
            headers=secrets.headers,
            pace=None if endpoint.rate_per_second is None else (endpoint.rate_per_second, endpoint.burst or 1),
            slots_seconds=None if slots is None else tuple(slots),
        )
