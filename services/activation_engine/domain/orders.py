"""What people ordered about an account: commands as facts, each a join, so that a replay gives the same orders."""

from collections.abc import Container, Iterator
from typing import TypeAlias

from msgspec import Struct

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.registers import Dated, keep_newer
from services.activation_engine.domain.timers import Hole
from services.activation_engine.domain.trackers import id64, person64

PAUSE, RESUME, CLOSE, REOPEN = "pause", "resume", "close", "reopen"
MOVE, DIAGNOSIS, SNOOZE_PREFIX = "move", "diagnosis", "snooze."
TURNS_MAX = 64
REGISTERS_MAX = 64
ERASED_PEOPLE_MAX = 256
WHY_CHARS_MAX = 200

# (ms, kind, until in ms, why) of a pause, its end, a closing or a reopening.
Turn: TypeAlias = tuple[int, str, int | None, str]


class Orders(Struct, array_like=True, gc=False):
    """`turns` by id64 of the command and its kind, the newest 64 of pauses and as many of closings; `registers` hold
    the newest value of what is set and set again; `erased` are people whose id was erased, by person64, with the time
    of the command."""

    turns: dict[int, Turn] = {}
    registers: dict[str, Dated] = {}
    erased: dict[int, int] = {}

    def ordered(self, name: str) -> str | int | float | bool | None:
        """The newest value of a register."""
        dated = self.registers.get(name)
        return None if dated is None else dated[2]

    def muted(self, kind: str, now_ms: int) -> bool:
        """Whether signals of this kind, or about this risk or opportunity, are snoozed at `now_ms`."""
        until = self.ordered(SNOOZE_PREFIX + kind)
        return isinstance(until, int) and now_ms < until


class Pause(Struct, frozen=True):
    """A stretch that counts for no clock; `end_ms` is None while nobody has ended it."""

    start_ms: int
    end_ms: int | None
    why: str

    def covers(self, now_ms: int) -> bool:
        """Whether it is on."""
        return self.start_ms <= now_ms and (self.end_ms is None or now_ms < self.end_ms)


class Life(Struct, frozen=True):
    """Which life of the account it is, counting from 1; when it was closed and why, None while it is open."""

    number: int = 1
    closed_at_ms: int | None = None
    why: str = ""


_FIRST_LIFE = Life()


def take_turn(orders: Orders, event: Event, *, until_ms: int | None = None, why: str = "") -> bool:
    """Note a pause, resume, close or reopen; whether that is new."""
    kind = event.name or ""
    # Of every kind the newest are kept, so that two commands under one id must not compete for one place.
    key = id64(f"{kind}:{event.message_id}")
    return _join_turns(orders, {key: (event.occurred_at_ms, kind, until_ms, why[:WHY_CHARS_MAX])})


def _join_turns(orders: Orders, turns: dict[int, Turn]) -> bool:
    joined = dict(orders.turns)
    for key, turn in turns.items():
        # The newest, as of the whole set: a smaller one could come back once its better was cut.
        joined[key] = max(turn, joined.get(key, turn), key=_turn_rank)
    if len(joined) > TURNS_MAX:
        joined = _newest_of(joined, {PAUSE, RESUME}) | _newest_of(joined, {CLOSE, REOPEN})
    changed = joined != orders.turns
    orders.turns = joined
    return changed


def _newest_of(turns: dict[int, Turn], kinds: Container[str]) -> dict[int, Turn]:
    """The newest of these kinds: many pauses must not make a closing forgotten."""
    keys = sorted((key for key, turn in turns.items() if turn[1] in kinds), key=lambda key: (turns[key][0], key))
    return {key: turns[key] for key in keys[-TURNS_MAX:]}


def _turn_rank(turn: Turn) -> tuple[int, str, int, str]:
    return turn[0], turn[1], turn[2] or 0, turn[3]


def register(orders: Orders, name: str, dated: Dated) -> bool:
    """Set a register if this is the newest value; whether it changed."""
    if not keep_newer(orders.registers, name, dated):
        return False
    if len(orders.registers) > REGISTERS_MAX:
        for surplus in sorted(orders.registers, key=lambda one: (one not in (MOVE, DIAGNOSIS), one))[REGISTERS_MAX:]:
            del orders.registers[surplus]
    return name in orders.registers


def erase_person(orders: Orders, user_id: str, at_ms: int) -> bool:
    """Remember that this person's id is not to be kept; whether that is new."""
    return _join_erased(orders, {person64(user_id): at_ms})


def _join_erased(orders: Orders, erased: dict[int, int]) -> bool:
    joined = dict(orders.erased)
    for person, at in erased.items():
        joined[person] = max(at, joined.get(person, at))
    if len(joined) > ERASED_PEOPLE_MAX:
        newest = sorted(joined, key=lambda person: (joined[person], person), reverse=True)
        joined = {person: joined[person] for person in newest[:ERASED_PEOPLE_MAX]}
    changed = joined != orders.erased
    orders.erased = joined
    return changed


def join_orders(mine: Orders, theirs: Orders) -> None:
    """Join other orders about the same account into `mine`."""
    _join_turns(mine, theirs.turns)
    for name, dated in theirs.registers.items():
        register(mine, name, dated)
    _join_erased(mine, theirs.erased)


def _in_order(orders: Orders) -> Iterator[Turn]:
    """By time. What is ordered within one millisecond is told apart by its kind: a pause comes before its end, and a
    closing before the reopening."""
    return (orders.turns[key] for key in sorted(orders.turns, key=lambda key: (*orders.turns[key][:2], key)))


def life_of(orders: Orders) -> Life:
    """The account's life by its closings and reopenings."""
    if not orders.turns:
        return _FIRST_LIFE
    life = _FIRST_LIFE
    for at, kind, _, why in _in_order(orders):
        if kind == CLOSE and life.closed_at_ms is None:
            life = Life(life.number, at, why)
        elif kind == REOPEN and life.closed_at_ms is not None:
            life = Life(life.number + 1)
    return life


def pauses_of(orders: Orders) -> list[Pause]:
    """Its pauses, oldest first. Pausing again while one is on gives it a new end."""
    found: list[Pause] = []
    for at, kind, until, why in _in_order(orders):
        on = found[-1] if found and found[-1].covers(at) else None
        if kind == PAUSE:
            start = at if on is None else on.start_ms
            found[len(found) - (on is not None) :] = [Pause(start, None if until is None else max(until, at), why)]
        elif kind == RESUME and on is not None:
            found[-1] = Pause(on.start_ms, at, on.why)
    return found


def still_times(orders: Orders, holes: tuple[Hole, ...], now_ms: int) -> tuple[Hole, ...]:
    """All stretches that count for no clock: the partition's holes and the account's pauses, one without an end up to
    `now_ms`; sorted and apart."""
    if not orders.turns:
        return holes
    paused = [
        (one.start_ms, max(one.start_ms, now_ms) if one.end_ms is None else one.end_ms) for one in pauses_of(orders)
    ]
    merged: list[Hole] = []
    for start, end in sorted((*holes, *paused)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def pause_from(orders: Orders, now_ms: int) -> Pause | None:
    """The first pause that is not over at `now_ms`: the one that is on, otherwise the next."""
    if not orders.turns:
        return None
    return next((one for one in pauses_of(orders) if one.end_ms is None or now_ms < one.end_ms), None)


def pause_on(orders: Orders, now_ms: int) -> Pause | None:
    """The pause that is on at `now_ms`."""
    pause = pause_from(orders, now_ms)
    return pause if pause is not None and pause.covers(now_ms) else None


def next_turn(orders: Orders, now_ms: int) -> int | None:
    """The next instant after `now_ms` at which a pause begins or ends by itself."""
    if not orders.turns:
        return None
    edges = (edge for one in pauses_of(orders) for edge in (one.start_ms, one.end_ms))
    return min((edge for edge in edges if edge is not None and edge > now_ms), default=None)
