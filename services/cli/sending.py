"""Many events or commands to ingest: in batches within its limits, patient with a service that asks for time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.positions import decode_position, encode_position
from services.cli.client import Client, patiently
from services.cli.output import Refused

# Half of what ingest takes at once, so that its limits may be set lower.
BATCH_ITEMS_MAX = 500
BATCH_BYTES_MAX = 1_048_576
_ERRORS_MAX = 1_000

Wrap = Callable[[Sequence[dict[str, Any]]], object]
Told = Callable[[int], None]


class Item(NamedTuple):
    """One event or command, and where it stands, such as `line 3`."""

    place: str
    value: dict[str, Any]


class ItemError(NamedTuple):
    """Why one item was not taken, and what to change."""

    place: str
    message_id: str | None
    code: str
    message: str


@dataclass(slots=True)
class Outcome:
    """What became of all items; `errors` are the first thousand, `position` covers all batches of commands."""

    accepted: int = 0
    rejected: int = 0
    errors: list[ItemError] = field(default_factory=list)
    position: str | None = None

    def add(self, items: Sequence[Item], answer: dict[str, Any]) -> None:
        """Take in the answer to a batch."""
        rejected = answer["errors"]
        self.accepted += len(items) - len(rejected)
        self.rejected += len(rejected)
        for one in rejected[: _ERRORS_MAX - len(self.errors)]:
            place = items[one["index"]].place
            self.errors.append(ItemError(place, one["message_id"], one["code"], one["message"]))
        if answer.get("position") is not None:
            self.position = _joined(self.position, answer["position"])


def send_all(client: Client, path: str, items: Iterable[Item], *, wrap: Wrap, told: Told = lambda _: None) -> Outcome:
    """Post every item to `path`, in order, each batch as `wrap` makes it; `told` hears how many each one had.

    Raises Refused for what concerns a whole batch, such as a key without the scope, and Unreachable; what was sent
    before stays sent, and sending all of it again changes nothing when the items have message ids.
    """
    outcome = Outcome()
    for batch in _batches(items):
        body = wrap([item.value for item in batch])
        outcome.add(batch, patiently(lambda body=body: _posted(client, path, body)))  # type: ignore[misc]
        told(len(batch))
    return outcome


def _posted(client: Client, path: str, body: object) -> dict[str, Any]:
    """The answer of ingest, which refuses a batch as a whole when it refuses each of its items."""
    try:
        answer: dict[str, Any] = client.ask("POST", path, body=body)
    except Refused as refused:
        problem = refused.problem
        if not problem.get("errors") or refused.code == "invalid_request":
            raise
        return problem
    return answer


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    batch_bytes = 0
    for item in items:
        # As the client encodes it, and a comma.
        item_bytes = len(json.dumps(item.value, ensure_ascii=False).encode("utf-8", "surrogatepass")) + 1
        if batch and (len(batch) >= BATCH_ITEMS_MAX or batch_bytes + item_bytes > BATCH_BYTES_MAX):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(item)
        batch_bytes += item_bytes
    if batch:
        yield batch


def _joined(first: str | None, second: str) -> str:
    """The position that is past both."""
    if first is None:
        return second
    offsets = decode_position(first)
    for partition, offset in decode_position(second).items():
        offsets[partition] = max(offset, offsets.get(partition, 0))
    return encode_position(offsets)
