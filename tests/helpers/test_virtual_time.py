"""The virtual-time loop itself."""

import asyncio
import time

import pytest

from tests.helpers.virtual_time import Deadlock, VirtualTimeLoop


async def test_an_hour_passes_without_waiting() -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.sleep(3600)
    assert loop.time() - begin == pytest.approx(3600)


async def test_time_stands_still_while_a_thread_works() -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    alarm = loop.call_later(5, lambda: None)
    assert await loop.run_in_executor(None, time.perf_counter) > 0
    assert loop.time() == begin
    alarm.cancel()


def test_a_wait_that_nothing_can_end_is_a_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.helpers.virtual_time.REAL_WAIT_S", 0.05)
    loop = VirtualTimeLoop()
    try:
        with pytest.raises(Deadlock):
            loop.run_until_complete(loop.create_future())
    finally:
        loop.close()
