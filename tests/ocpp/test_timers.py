"""Named timers: moved, cancelled, and never left behind."""

import asyncio

import pytest

from agent.ocpp.timers import Timers


@pytest.fixture
def fired() -> list[tuple[str, float]]:
    return []


async def test_a_timer_set_again_fires_once_at_the_new_time(fired: list[tuple[str, float]]) -> None:
    loop = asyncio.get_running_loop()
    timers, begin = Timers(), loop.time()
    timers.set("answer", 5, lambda: fired.append(("first", loop.time() - begin)))
    await asyncio.sleep(3)
    timers.set("answer", 5, lambda: fired.append(("later", loop.time() - begin)))
    await asyncio.sleep(20)
    assert [name for name, _ in fired] == ["later"]
    assert fired[0][1] == pytest.approx(8)
    assert "answer" not in timers


async def test_a_timer_set_again_may_fire_earlier(fired: list[tuple[str, float]]) -> None:
    loop = asyncio.get_running_loop()
    timers, begin = Timers(), loop.time()
    timers.set("answer", 50, lambda: fired.append(("late", loop.time() - begin)))
    timers.set("answer", 1, lambda: fired.append(("early", loop.time() - begin)))
    await asyncio.sleep(100)
    assert [(name, round(at)) for name, at in fired] == [("early", 1)]


async def test_a_cancelled_timer_never_fires_and_may_be_set_again(fired: list[tuple[str, float]]) -> None:
    timers = Timers()
    timers.set("answer", 5, lambda: fired.append(("cancelled", 0)))
    timers.cancel("answer")
    assert "answer" not in timers
    timers.cancel("unknown")
    await asyncio.sleep(10)
    timers.set("answer", 5, lambda: fired.append(("again", 0)))
    assert "answer" in timers
    await asyncio.sleep(10)
    assert [name for name, _ in fired] == ["again"]


async def test_none_is_left_in_the_loop_after_cancel_all(fired: list[tuple[str, float]]) -> None:
    timers = Timers()
    timers.set("answer", 5, lambda: fired.append(("answer", 0)))
    timers.set("busy", 6, lambda: fired.append(("busy", 0)))
    timers.cancel("busy")
    timers.cancel_all()
    await asyncio.sleep(10)
    assert not fired
    assert "answer" not in timers


async def test_a_timer_may_set_itself_again(fired: list[tuple[str, float]]) -> None:
    timers = Timers()

    def act() -> None:
        fired.append(("tick", 0))
        if len(fired) < 3:
            timers.set("tick", 1, act)

    timers.set("tick", 1, act)
    await asyncio.sleep(10)
    assert len(fired) == 3
