"""A crash of one task is contained, logged and followed by a restart; the others go on."""

import asyncio
import logging
from itertools import pairwise

import pytest

from agent.supervisor import Pulse, Restart, Supervisor


class Crash(Exception):
    pass


async def test_a_crashed_task_starts_again_with_growing_pauses_while_others_go_on() -> None:
    loop = asyncio.get_running_loop()
    starts: list[float] = []
    beats = 0

    async def fragile() -> None:
        starts.append(loop.time())
        raise Crash

    async def steady() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(1)
            beats += 1

    supervisor = Supervisor(first_pause_s=1, longest_pause_s=4)
    supervisor.start("steady", steady)
    supervisor.start("fragile", fragile)
    await asyncio.sleep(12)
    await supervisor.close()
    pauses = [round(later - earlier, 3) for earlier, later in pairwise(starts)]
    assert pauses == [1, 2, 4, 4]
    assert beats in (11, 12)
    assert supervisor.crashes() == {"fragile": 5}


async def test_a_task_that_ran_steadily_starts_again_with_the_first_pause() -> None:
    loop = asyncio.get_running_loop()
    starts: list[float] = []

    async def fragile() -> None:
        starts.append(loop.time())
        await asyncio.sleep(100)
        raise Crash

    supervisor = Supervisor(first_pause_s=1, longest_pause_s=64, steady_s=60)
    supervisor.start("fragile", fragile)
    await asyncio.sleep(305)
    await supervisor.close()
    assert [round(start - starts[0], 3) for start in starts] == [0, 101, 202, 303]


async def test_a_return_ends_a_task_unless_it_must_never_end() -> None:
    counts = {"once": 0, "always": 0}

    def body(name: str):  # type: ignore[no-untyped-def]
        async def run() -> None:
            counts[name] += 1

        return run

    supervisor = Supervisor(first_pause_s=1)
    supervisor.start("once", body("once"))
    supervisor.start("always", body("always"), Restart.ALWAYS)
    await asyncio.sleep(2)
    await supervisor.close()
    assert counts["once"] == 1
    assert counts["always"] == 2


async def test_a_task_that_is_never_restarted_tells_of_its_crash(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, Exception]] = []

    async def fragile() -> None:
        raise Crash("reason")

    supervisor = Supervisor(on_crash=lambda name, error: told.append((name, error)))
    with caplog.at_level(logging.ERROR):
        await supervisor.start("fragile", fragile, Restart.NEVER)
    await supervisor.close()
    assert [(name, str(error)) for name, error in told] == [("fragile", "reason")]
    assert "fragile crashed" in caplog.text
    assert "Crash: reason" in caplog.text


async def test_closing_ends_the_latest_task_first_and_waits_for_each() -> None:
    ended: list[str] = []

    def body(name: str):  # type: ignore[no-untyped-def]
        async def run() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1)
                ended.append(name)

        return run

    supervisor = Supervisor()
    for name in ("first", "second", "third"):
        supervisor.start(name, body(name))
    await asyncio.sleep(0)
    await supervisor.close()
    assert ended == ["third", "second", "first"]


async def test_two_running_tasks_cannot_have_one_name_and_a_stopped_name_is_free_again() -> None:
    async def wait() -> None:
        await asyncio.sleep(1000)

    supervisor = Supervisor()
    supervisor.start("name", wait)
    with pytest.raises(ValueError, match="runs already"):
        supervisor.start("name", wait)
    await supervisor.stop("name")
    supervisor.start("name", wait)
    await supervisor.close()
    await supervisor.stop("unknown")


async def test_a_crash_while_being_ended_is_logged_and_the_task_stays_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            raise Crash("at the end") from None

    supervisor = Supervisor()
    task = supervisor.start("stubborn", stubborn)
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await supervisor.close()
    assert task.done()
    assert "at the end" in caplog.text


# --- a task that hangs --------------------------------------------------------------------------------------


async def test_a_task_that_is_late_is_ended_and_starts_again_while_others_go_on() -> None:
    loop = asyncio.get_running_loop()
    pulse = Pulse()
    starts: list[float] = []

    async def hangs() -> None:
        starts.append(loop.time())
        pulse.within(30)
        await loop.create_future()

    supervisor = Supervisor(first_pause_s=1)
    supervisor.start("hangs", hangs, Restart.ALWAYS, pulse)
    await asyncio.sleep(50)
    assert len(starts) == 2
    assert 30 <= starts[1] - starts[0] <= 42
    assert supervisor.crashes() == {"hangs": 1}
    await supervisor.close()


async def test_a_task_that_rests_may_rest_for_ever() -> None:
    pulse = Pulse()
    ends: list[str] = []

    async def rests() -> None:
        pulse.within(5)
        pulse.rest()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ends.append("ended")

    supervisor = Supervisor()
    supervisor.start("rests", rests, Restart.ALWAYS, pulse)
    await asyncio.sleep(100_000)
    assert ends == []
    assert supervisor.crashes() == {}
    await supervisor.close()
    assert ends == ["ended"]


async def test_a_wait_that_is_explained_is_no_hang() -> None:
    pulse = Pulse()
    is_explained = True

    async def waits() -> None:
        pulse.within(30, lambda: is_explained)
        await asyncio.get_running_loop().create_future()

    supervisor = Supervisor()
    supervisor.start("waits", waits, Restart.ALWAYS, pulse)
    await asyncio.sleep(1000)
    assert supervisor.crashes() == {}
    is_explained = False
    await asyncio.sleep(45)
    assert supervisor.crashes() == {"waits": 1}
    await supervisor.close()


async def test_a_crash_of_a_felt_task_is_a_crash_like_any_other() -> None:
    async def fragile() -> None:
        raise Crash

    supervisor = Supervisor(first_pause_s=1000)
    supervisor.start("fragile", fragile, Restart.ALWAYS, Pulse())
    await asyncio.sleep(1)
    assert supervisor.crashes() == {"fragile": 1}
    await supervisor.close()


async def test_a_task_that_cannot_be_ended_keeps_its_place_and_is_told() -> None:
    pulse = Pulse()
    starts = 0
    may_end = asyncio.Event()

    async def stubborn() -> None:
        nonlocal starts
        starts += 1
        pulse.within(5)
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    supervisor = Supervisor(first_pause_s=1)
    supervisor.start("stubborn", stubborn, Restart.ALWAYS, pulse)
    await asyncio.sleep(200)
    assert supervisor.stuck() == ["stubborn"]
    assert starts == 1
    may_end.set()
    await asyncio.sleep(1)
    assert supervisor.stuck() == []
    await supervisor.close()
