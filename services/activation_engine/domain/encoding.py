"""Account states as bytes and back: a versioned msgpack array."""

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from services.activation_engine.domain.account import AccountState, PlanState
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.held import ELSEWHERE_BYTES_MAX, dated_bytes
from services.activation_engine.domain.people import PEOPLE_KEPT, ROLES_KEPT
from services.activation_engine.domain.plan import Plan

_VERSION = 2
# Above 2 KB PostgreSQL moves a value out of the row, which costs three quarters of the write rate.
STATE_BYTES_SOFT = 1_500
STATE_BYTES_ALARM = 1_900
# A plan whose facts could grow beyond this for one account is refused.
PLAN_STATE_BYTES_MAX = 16_384

# An event's name and four times, the days of one length, people with their roles, and roles.
_ACTIVITY_BYTES = 300 + 30 + PEOPLE_KEPT * (48 + 24 + 16) + ROLES_KEPT * (24 + 12)
# Head of the name and of the entry, two instants, two truth values and a number of days.
_WATCH_BYTES = 27


class UnknownEncoding(ValueError):
    """Bytes that this release cannot read: written by a newer one, or not a state."""


class _Stored(Struct, array_like=True, gc=False):
    version: int
    enrolled_at_ms: int
    facts: Facts
    plans: dict[str, PlanState]
    next_check_ms: int | None
    sequence: int


_encode = Encoder().encode
_decode = Decoder(_Stored).decode


def encode(state: AccountState) -> bytes:
    """The state without its id, a few hundred bytes for a usual account."""
    stored = _Stored(
        _VERSION,
        state.enrolled_at_ms,
        state.facts,
        state.plans,
        state.next_check_ms,
        state.sequence,
    )
    return _encode(stored)


def decode(account_id: str, data: bytes) -> AccountState:
    """The state that `encode` was given. Raises UnknownEncoding."""
    try:
        stored = _decode(data)
    except ValueError as error:
        raise UnknownEncoding(f"the stored state of this account cannot be read: {error}") from error
    if stored.version != _VERSION:
        raise UnknownEncoding(f"the stored state has version {stored.version}, this release reads {_VERSION}")
    state = AccountState(account_id, stored.enrolled_at_ms, stored.facts)
    state.plans = stored.plans
    state.next_check_ms = stored.next_check_ms
    state.sequence = stored.sequence
    return state


def state_bytes_max(plan: Plan) -> int:
    """The most that one account's facts and standing can take under this plan alone: with names of people of 48 bytes
    and of roles of 24, traits, waivers and orders not counted."""
    trackers = {leaf.tracker.id: leaf.tracker for leaf in plan.leaves()}
    milestones = ELSEWHERE_BYTES_MAX + sum(dated_bytes(milestone.id) for milestone in plan.milestones)
    watches = sum(len(watch.id) + _WATCH_BYTES for watch in plan.watches)
    return 110 + _ACTIVITY_BYTES + milestones + watches + sum(one.state_bytes_max() for one in trackers.values())
