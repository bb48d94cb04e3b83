"""One record of the product-events topic as the fold sees it: who, what, when, and the client's object undecoded."""

from typing import Any

from msgspec import DecodeError, Raw, Struct
from msgspec.json import decode

# Types that can be activity. Identify, group, alias and commands never are.
USAGE_TYPES = frozenset({"track", "page", "screen"})
# Commands that are applied; the shell refuses the others before they get here, and applies `erase` itself.
COMMANDS = frozenset(
    {
        "set",
        "note",
        "pause",
        "resume",
        "snooze",
        "mark",
        "waive",
        "diagnose",
        "move",
        "close",
        "reopen",
        "erase",
        "erase_person",
    }
)


class InvalidBody(ValueError):
    """The client's object is needed and is not a JSON object: the record can never be applied (dead letter)."""


class Event(Struct, gc=False, eq=False):
    """A decoded envelope. `name` is the event name, or the command's name for type `command`; `appended_at_ms` is by
    the broker's clock, and once it is folded `log_time`; `body` is the client's own JSON object, decoded at most once
    and only when a condition or a trait needs it; `idle`: that it changes nothing was known before the fold."""

    account_id: str
    message_id: str
    type: str
    name: str | None
    user_id: str | None
    occurred_at_ms: int
    received_at_ms: int
    appended_at_ms: int
    staff: bool = False
    role: str | None = None
    body: bytes | Raw = b"{}"
    traceparent: str | None = None
    idle: bool = False
    _client: dict[str, Any] | None = None

    def client(self) -> dict[str, Any]:
        """The client's object. Raises InvalidBody when it is not one."""
        if self._client is None:
            try:
                decoded = decode(self.body)
            except (DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InvalidBody(f"the body is not JSON: {error}") from error
            if not isinstance(decoded, dict):
                raise InvalidBody("the body is not a JSON object")
            self._client = decoded
        return self._client

    def text(self, field: str) -> str:
        """A field that must be a text with something in it. Raises InvalidBody."""
        value = self.client().get(field)
        if not isinstance(value, str) or not value:
            raise InvalidBody(f"the command needs a text in `{field}`")
        return value

    def section(self, key: str) -> dict[str, Any]:
        """The object under `key` (`properties`, `traits`); empty when absent, null or something else."""
        found = self.client().get(key)
        return found if isinstance(found, dict) else {}
