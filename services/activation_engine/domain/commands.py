"""What each command does to the facts of an account. Ingest has checked them; what gets here malformed all the same
is refused before anything changes."""

from collections.abc import Callable

from services.activation_engine.domain.event import Event, InvalidBody
from services.activation_engine.domain.facts import MARK_PREFIX, WAIVE_PREFIX, Facts, fold_traits, forget, set_trait
from services.activation_engine.domain.instants import parse_instant, rfc3339
from services.activation_engine.domain.orders import (
    CLOSE,
    DIAGNOSIS,
    MOVE,
    PAUSE,
    REOPEN,
    RESUME,
    SNOOZE_PREFIX,
    register,
    take_turn,
)


def _instant(event: Event, field: str) -> int | None:
    """A date, None when it is absent or null."""
    value = event.client().get(field)
    if value is None:
        return None
    at = parse_instant(value)
    if at is None:
        raise InvalidBody(f"the command needs a date in `{field}`")
    return at


def _pause(facts: Facts, event: Event) -> bool:
    side, reason = event.client().get("side") or "customer", event.text("reason")
    return take_turn(facts.orders, event, until_ms=_instant(event, "until"), why=f"{reason} ({side})")


def _close(facts: Facts, event: Event) -> bool:
    return take_turn(facts.orders, event, why=event.text("reason"))


def _turn(facts: Facts, event: Event) -> bool:
    return take_turn(facts.orders, event)


def _snooze(facts: Facts, event: Event) -> bool:
    until = _instant(event, "until")
    dated = (event.occurred_at_ms, event.message_id, until)
    return register(facts.orders, SNOOZE_PREFIX + event.text("kind"), dated)


def _mark(facts: Facts, event: Event) -> bool:
    at = _instant(event, "at")
    return set_trait(
        facts, event, MARK_PREFIX + event.text("milestone"), rfc3339(event.occurred_at_ms if at is None else at)
    )


def _waive(facts: Facts, event: Event) -> bool:
    return set_trait(facts, event, WAIVE_PREFIX + event.text("milestone"), True)


def _diagnose(facts: Facts, event: Event) -> bool:
    action = event.client().get("action")
    value = event.text("cause") if action is None else f"{event.text('cause')}:{event.text('action')}"
    return register(facts.orders, DIAGNOSIS, (event.occurred_at_ms, event.message_id, value))


def _move(facts: Facts, event: Event) -> bool:
    plan = None if event.client().get("plan") is None else event.text("plan")
    return register(facts.orders, MOVE, (event.occurred_at_ms, event.message_id, plan))


def _erase_person(facts: Facts, event: Event) -> bool:
    return forget(facts, event.text("user_id"), event.occurred_at_ms)


_APPLY: dict[str, Callable[[Facts, Event], bool]] = {
    "set": fold_traits,
    PAUSE: _pause,
    RESUME: _turn,
    CLOSE: _close,
    REOPEN: _turn,
    "snooze": _snooze,
    "mark": _mark,
    "waive": _waive,
    "diagnose": _diagnose,
    MOVE: _move,
    "erase_person": _erase_person,
}


def apply_command(facts: Facts, event: Event) -> bool:
    """Take one command into the facts; whether that changed any. A `note` is no command here but an event. Raises
    InvalidBody, with nothing changed."""
    apply = _APPLY.get(event.name or "")
    return apply is not None and apply(facts, event)
