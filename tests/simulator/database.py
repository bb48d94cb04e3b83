"""The database as engines see it: a store in memory behind a network that loses and delays, and a lossy standby."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from services.activation_engine.store import Commit, StoreUnavailable
from tests.fakes.memory_store import MemoryStore
from tests.simulator.faults import Fate, Faults
from tests.simulator.loop import Process, VirtualLoop

Question: TypeAlias = "functools.partial[Coroutine[Any, Any, Any]]"

_LATENCY_SECONDS = 0.01
_LATE_SECONDS_MAX = 3.0


class Database:
    """The server. `watch` is told of every commit that was applied, `rewound` of every failover with what was lost."""

    def __init__(self, loop: VirtualLoop, faults: Faults, store: MemoryStore) -> None:
        self.loop = loop
        self.faults = faults
        self.store = store
        self.away = False
        self.watch: list[Callable[[Commit], None]] = []
        self.rewound: list[Callable[[MemoryStore], None]] = []
        self._primary = 0
        self._standby = store.copy()

    def link(self, process: Process) -> Any:
        """A Store for one engine."""
        return Link(self, process)

    def lag(self) -> None:
        """From now on the standby receives nothing."""
        self._standby = self.store.copy()

    def fail_over(self) -> None:
        """The standby takes over: commits since it fell behind are lost, and so is what is under way; nobody is told.
        Published plans are older than that."""
        self._primary += 1
        lost, versions = self.store.copy(), self.store.versions
        self.store.become(self._standby)
        self.store.versions = versions
        self.faults.happened["failover"] += 1
        for listener in self.rewound:
            listener(lost)

    def send(self, process: Process, name: str, ask: Question, answer: Any) -> None:
        """Let a request travel, with whatever fate it has."""
        fate = self.faults.fate(self.faults.rates.calls, name)
        there, back = self._latency(), self._latency()
        do = functools.partial(self._do, process, name, ask, self._primary)
        if fate is Fate.LATE:
            self.loop.outside(there + self.faults.dice.random() * _LATE_SECONDS_MAX, do, None)
        elif fate is not Fate.LOST:
            self.loop.outside(there, do, answer if fate is Fate.ANSWERED else None)
        if fate is not Fate.ANSWERED:
            self.loop.outside(there + back, _refuse, answer, fate.name)

    def _do(self, process: Process, name: str, ask: Question, primary: int, answer: Any) -> None:
        """What arrives is done in one step: the store in memory never waits."""
        if self.away or primary != self._primary:
            self.loop.outside(self._latency(), _refuse, answer, "the server is away")
            return
        try:
            ask().send(None)
        except StopIteration as done:
            self.loop.outside(self._latency(), _answer, answer, done.value)
            if name == "commit":
                for listener in self.watch:
                    listener(ask.args[0])
        except Exception as error:  # noqa: BLE001  # whatever the server refuses with, the sender is told
            self.loop.outside(self._latency(), _refuse, answer, error)
        process.reach(f"{name}.done")

    def _latency(self) -> float:
        return self.faults.dice.random() * _LATENCY_SECONDS


class Link:
    """One engine's connection: every method of the store, each a question that travels there and back."""

    def __init__(self, database: Database, process: Process) -> None:
        self._database = database
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        return functools.partial(self._ask, name)

    async def _ask(self, name: str, *args: Any, **named: Any) -> Any:
        database, process = self._database, self._process
        answer = database.loop.create_future()
        database.send(process, name, functools.partial(getattr(database.store, name), *args, **named), answer)
        process.reach(f"{name}.asked")
        answered = await answer
        process.reach(f"{name}.answered")
        return answered


def _answer(answer: Any, value: object) -> None:
    if answer is not None and not answer.done():
        answer.set_result(value)


def _refuse(answer: Any, why: str | Exception) -> None:
    if answer is not None and not answer.done():
        answer.set_exception(StoreUnavailable(why) if isinstance(why, str) else why)
