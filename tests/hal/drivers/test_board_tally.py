"""What the board link counts of itself: repeats, damage, round trips, how long the permission would still hold."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from board import wire
from hal.drivers.board_evse import BoardEvse, IoBoard
from hal.drivers.board_link import BoardLink
from hal.errors import DeviceFault
from hal.ports import BoardLinkQuality, Setpoint
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World
from tests.helpers.board_bench import BoardBench
from tests.helpers.links import FaultyStream, LinkQuality
from tests.helpers.wire_board import WireBoard


@contextlib.asynccontextmanager
async def running(link: BoardLink) -> AsyncIterator[None]:
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


class Played:
    def __init__(self) -> None:
        self.board = WireBoard()
        self.link = BoardLink(self.board.line, "1.2.3")
        self.evse = BoardEvse(self.link, 1, 32.0, asyncio.get_running_loop().time())

    @property
    def quality(self) -> BoardLinkQuality:
        return IoBoard(self.link).link_quality


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    played = Played()
    async with running(played.link):
        played.evse.apply(Setpoint(allow_power=True, limit_a=16.0))
        await asyncio.sleep(0.5)
        yield played


async def test_a_good_line_repeats_nothing_and_confirms_everything(played: Played) -> None:
    await asyncio.sleep(60)
    quality = played.quality
    assert quality.setpoints == pytest.approx(60, abs=2)
    assert (quality.repeats, quality.bad_lines, quality.links) == (0, 0, 1)
    assert quality.timed == quality.confirmed == quality.setpoints
    assert 0 <= quality.round_trips_s < 1
    assert quality.frames >= quality.setpoints


async def test_the_margin_is_what_is_left_of_the_lease_since_the_last_confirmed_setpoint(
    played: Played,
) -> None:
    assert 3.9 < played.quality.lease_margins_s[1] <= 5.0
    played.board.mute.add(wire.SETPOINT)
    await asyncio.sleep(3.0)
    assert 1.0 < played.quality.lease_margins_s[1] < 2.1
    await asyncio.sleep(5.0)
    assert played.quality.lease_margins_s[1] < 0


async def test_an_unconfirmed_setpoint_counts_as_repeats_and_gives_no_round_trip(played: Played) -> None:
    before = played.quality
    played.board.mute.add(wire.SETPOINT)
    played.evse.apply(Setpoint(allow_power=True, limit_a=10.0))
    await asyncio.sleep(0.45)
    played.board.mute.clear()
    await asyncio.sleep(0.3)
    after = played.quality
    assert after.repeats > before.repeats
    assert after.confirmed - before.confirmed == 1
    assert after.timed == before.timed


async def test_the_board_says_how_often_it_lost_us(played: Played) -> None:
    played.board.say_status(link_losses=3)
    await asyncio.sleep(0.1)
    assert played.quality.lease_losses == {1: 3}


async def test_damage_is_counted_over_a_lost_line(played: Played) -> None:
    played.board.line.send(b"~AAAA\n~BBBB\n")
    await asyncio.sleep(0.1)
    assert played.quality.bad_lines == 2
    played.board.line.unplug()
    await asyncio.sleep(0.1)
    played.board.line.plug()
    await asyncio.sleep(5)
    played.board.line.send(b"~CCCC\n")
    await asyncio.sleep(0.1)
    assert (played.quality.bad_lines, played.quality.links) == (3, 2)


async def test_a_noisy_line_shows() -> None:
    world = World()
    board = SimulatedBoard(world)
    link = BoardLink(FaultyStream(board.line, LinkQuality("lossy", byte_loss=0.002), seed=7), "1.2.3")
    evse = BoardEvse(link, 1, 32.0, world.loop.time())
    async with running(link):
        evse.apply(Setpoint(allow_power=True, limit_a=16.0))
        await asyncio.sleep(120)
        quality = link.quality
    board.close()
    world.close()
    assert quality.bad_lines > 5
    assert quality.repeats > 1
    assert quality.confirmed > 90


def test_the_board_tells_how_many_of_its_ticks_came_late() -> None:
    bench = BoardBench().run(100)
    bench.board.late_ticks = 3
    answer = bench.action("read", names=["late_ticks"])
    assert answer is not None
    assert answer["data"] == {"late_ticks": 3}


async def test_a_board_of_an_older_firmware_refuses_to_say(played: Played) -> None:
    refusal = {"ok": False, "code": wire.CODE_BAD_ARGS}
    played.board.answers[wire.ACTION] = wire.pack_json(refusal)
    with pytest.raises(DeviceFault):
        await IoBoard(played.link).read(["late_ticks"])
