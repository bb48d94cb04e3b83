"""Writes that leave together: when, in which order, and what of them when the connection ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.runtime.joined_transport import JoinedTransport


class Wire:
    """A transport that keeps what is written, and refuses to once it is closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        """As uvloop's."""
        assert not self.closed
        self.written.append(data)

    def is_closing(self) -> bool:
        """From `close` on."""
        return self.closed

    def close(self) -> None:
        """For good."""
        self.closed = True

    def get_extra_info(self, name: str) -> str:
        """Anything else that transports do."""
        return name


@pytest.fixture
async def pair() -> tuple[JoinedTransport, Wire]:
    """The transport and what is behind it."""
    wire: Any = Wire()
    return JoinedTransport(wire, asyncio.get_running_loop()), wire


async def test_writes_of_one_turn_are_one(pair: tuple[JoinedTransport, Wire]) -> None:
    """And those of the next turn another one."""
    joined, wire = pair
    joined.write(b"head")
    joined.write(b"body")
    assert wire.written == []
    await asyncio.sleep(0)
    assert wire.written == [b"headbody"]
    joined.write(b"more")
    await asyncio.sleep(0)
    assert wire.written == [b"headbody", b"more"]
    assert joined.get_extra_info("peername") == "peername"


async def test_much_is_not_held(pair: tuple[JoinedTransport, Wire]) -> None:
    """The transport has to see it to ask for a pause."""
    joined, wire = pair
    joined.write(b"head")
    joined.write(b"x" * 100_000)
    assert [len(one) for one in wire.written] == [100_004]
    joined.write(b"rest")
    await asyncio.sleep(0)
    assert wire.written[1:] == [b"rest"]


async def test_what_was_written_leaves_before_the_end(pair: tuple[JoinedTransport, Wire]) -> None:
    """A refusal is written and the connection closed in one turn."""
    joined, wire = pair
    joined.write(b"refused")
    joined.close()
    assert (wire.written, wire.closed) == ([b"refused"], True)
    await asyncio.sleep(0)
    assert wire.written == [b"refused"]


async def test_a_client_that_goes_meanwhile_gets_nothing(pair: tuple[JoinedTransport, Wire]) -> None:
    """And nothing fails."""
    joined, wire = pair
    joined.write(b"answer")
    wire.close()
    await asyncio.sleep(0)
    assert wire.written == []
