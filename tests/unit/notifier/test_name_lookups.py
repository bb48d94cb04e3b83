"""How names are looked up: none takes the time of the others."""

from __future__ import annotations

import asyncio
import threading
from ipaddress import ip_address

import pytest

from services.notifier.sender.resolver import NameUnresolved, Resolver


async def test_names_whose_servers_are_silent_hold_up_no_name_that_was_answered() -> None:
    """However many: each keeps a thread for long after its time is over."""
    end = threading.Event()

    def look_up(host: str) -> list[str]:
        if host.startswith("silent"):
            end.wait(30)
        return ["192.0.2.1"]

    resolver = Resolver(timeout_seconds=2, lookup=look_up, cache_seconds=0)
    await resolver.addresses("answered.example.com")
    silent = [asyncio.create_task(resolver.addresses(f"silent-{number}.example.com")) for number in range(100)]
    try:
        await asyncio.sleep(0)
        assert await resolver.addresses("answered.example.com") == [ip_address("192.0.2.1")]
        assert {type(each) for each in await asyncio.gather(*silent, return_exceptions=True)} == {NameUnresolved}
    finally:
        end.set()
        await resolver.close()


async def test_a_name_that_fails_gives_its_thread_back() -> None:
    """It is looked up among those that were not answered, until it is."""
    threads: list[str] = []

    def look_up(_: str) -> list[str]:
        threads.append(threading.current_thread().name.rpartition("_")[0])
        if len(threads) == 2:
            raise OSError("no such name")
        return ["192.0.2.1"]

    resolver = Resolver(timeout_seconds=5, lookup=look_up, cache_seconds=0)
    for fails in (False, True, False, False):
        if fails:
            with pytest.raises(NameUnresolved):
                await resolver.addresses("hooks.example.com")
        else:
            await resolver.addresses("hooks.example.com")
    await resolver.close()
    assert threads == ["dns-other", "dns", "dns-other", "dns"]
