"""What every `CardReader` promises, whatever it is made of: one suite over each implementation.

The simulated reader, both serial readers over lines of every kind and over a serial port of the board (the real
firmware under CPython), and a button.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from hal.bus.byte_stream import ByteStream
from hal.bus.gpio import GpioLine, LinePlan
from hal.drivers.board_link import BoardLink
from hal.drivers.board_stream import BoardStream
from hal.drivers.gpio_ports import GpioButton
from hal.drivers.pn532_reader import Pn532Reader
from hal.drivers.rdm6300_reader import Rdm6300Reader
from hal.ports import CardReader
from hal.sim.card_readers import PlayedPn532, PlayedRdm6300
from hal.sim.firmware import SimulatedBoard
from hal.sim.reader import SimulatedReader
from hal.sim.world import World
from tests.helpers.gpio_lines import FakeChip
from tests.helpers.links import NOISY, ONE_BYTE, WHOLE, FaultyStream, LinkQuality, MemoryLine

LINES = {"whole": WHOLE, "one_byte": ONE_BYTE, "noisy": NOISY}


class Bench:
    """A reader under test and somebody who holds cards to it."""

    def __init__(self) -> None:
        self.reader: CardReader
        self.run: Callable[[], Awaitable[None]] | None = None
        self.uids = ("04A1B2C3D4E5F6", "A1B2C3D4")
        self.token_type = "ISO14443"
        self.lay: Callable[[str], None]
        self.take_away: Callable[[], None]
        self.unplug: Callable[[], None] | None = None
        self.plug: Callable[[], None] | None = None
        self.stays = True
        """A card that stays is read again and again."""


def simulated(bench: Bench) -> None:
    world = World(evses=3)
    bench.reader = SimulatedReader(world)
    bench.lay = lambda uid: world.tap(uid, "ISO14443", evses=[2, 3])
    bench.take_away = lambda: None
    bench.stays = False


def button(bench: Bench) -> None:
    chip = FakeChip()
    line = GpioLine(LinePlan("/dev/gpiochip0", "START"), chip.request)
    bench.reader = GpioButton(line, "FREE", "Local", (2, 3))
    bench.run, bench.uids, bench.token_type = line.run, ("FREE", "FREE"), "Local"
    bench.lay = lambda uid: chip.drive("START", True)
    bench.take_away = lambda: chip.drive("START", False)
    bench.unplug, bench.plug = chip.unplug, chip.plug


def serial(bench: Bench, model: str, quality: LinkQuality) -> None:
    line = MemoryLine()
    stream: ByteStream = FaultyStream(line, quality)
    device = PlayedPn532(line) if model == "pn532" else PlayedRdm6300(line)
    reader = Pn532Reader(stream, (2, 3)) if model == "pn532" else Rdm6300Reader(stream, (2, 3))
    bench.reader, bench.run, bench.lay, bench.take_away = reader, reader.run, device.lay, device.take_away
    bench.unplug, bench.plug = line.unplug, line.plug
    if model != "pn532":
        bench.uids, bench.token_type = ("0F00A1B2C3", "0F00A1B2C4"), "Local"


def on_the_board(bench: Bench, model: str, quality: LinkQuality) -> None:
    """The reader hangs on the board; what is pulled out is the board's cable."""
    baud_rate = 115_200 if model == "pn532" else 9600
    board = SimulatedBoard(World(), serial_ports={"other": 9600, "reader": baud_rate})
    link = BoardLink(FaultyStream(board.line, quality), "test")
    stream = BoardStream(link, "reader", baud_rate)
    port = board.serial["reader"]
    device = PlayedPn532(port) if model == "pn532" else PlayedRdm6300(port)
    reader = Pn532Reader(stream, (2, 3)) if model == "pn532" else Rdm6300Reader(stream, (2, 3))

    async def run() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(link.run())
                group.create_task(reader.run())
        finally:
            board.close()
            board.world.close()

    bench.reader, bench.run, bench.lay, bench.take_away = reader, run, device.lay, device.take_away
    bench.unplug, bench.plug = board.line.unplug, board.line.replug
    if model != "pn532":
        bench.uids, bench.token_type = ("0F00A1B2C3", "0F00A1B2C4"), "Local"


MODELS = ("pn532", "rdm6300")
KINDS = ["sim", "button", *(f"{model}-{name}" for model in MODELS for name in LINES)]
KINDS += [f"{model}-{name}-board" for model in MODELS for name in ("whole", "noisy")]


@pytest.fixture(params=KINDS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench()
    if request.param == "sim":
        simulated(bench)
    elif request.param == "button":
        button(bench)
    else:
        model, quality, *place = request.param.split("-")
        (on_the_board if place else serial)(bench, model, LINES[quality])
    task = asyncio.ensure_future(bench.run()) if bench.run is not None else None
    await asyncio.sleep(2)
    yield bench
    bench.take_away()
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def listening(bench: Bench) -> list[tuple[object, ...]]:
    taps: list[tuple[object, ...]] = []
    bench.reader.subscribe(lambda uid, kind: taps.append((uid, kind, *bench.reader.evse_ids)))
    return taps


async def present(bench: Bench, uid: str) -> None:
    bench.lay(uid)
    await asyncio.sleep(2)
    bench.take_away()
    await asyncio.sleep(4)


async def test_a_card_is_told_with_its_type_and_the_evses_that_it_is_for(bench: Bench) -> None:
    taps = listening(bench)
    await present(bench, bench.uids[0])
    assert taps == [(bench.uids[0], bench.token_type, 2, 3)]


async def test_a_card_that_lies_on_the_reader_is_one_presentation(bench: Bench) -> None:
    if not bench.stays:
        pytest.skip("every call of this reader is one presentation")
    taps = listening(bench)
    bench.lay(bench.uids[0])
    await asyncio.sleep(60)
    assert len(taps) == 1


async def test_a_card_that_comes_back_is_presented_again(bench: Bench) -> None:
    taps = listening(bench)
    for uid in (bench.uids[0], bench.uids[0], bench.uids[1]):
        await present(bench, uid)
    assert [tap[0] for tap in taps] == [bench.uids[0], bench.uids[0], bench.uids[1]]


async def test_who_stopped_listening_hears_no_more(bench: Bench) -> None:
    taps: list[str] = []
    stop = bench.reader.subscribe(lambda uid, kind: taps.append(uid))
    stop()
    stop()
    await present(bench, bench.uids[0])
    assert taps == []


async def test_a_reader_that_was_pulled_out_works_again_when_it_is_back(bench: Bench) -> None:
    if bench.unplug is None or bench.plug is None:
        pytest.skip("this reader cannot be pulled out")
    taps = listening(bench)
    bench.unplug()
    await asyncio.sleep(60)
    await present(bench, bench.uids[0])
    assert taps == []
    bench.plug()
    await asyncio.sleep(10)
    await present(bench, bench.uids[0])
    assert [tap[0] for tap in taps] == [bench.uids[0]]


async def test_a_card_that_lay_there_when_the_reader_was_lost_is_no_new_one_when_it_is_back(
    bench: Bench,
) -> None:
    """A card left in its slot must not end the charging because a cable was loose."""
    if bench.unplug is None or bench.plug is None:
        pytest.skip("this reader cannot be pulled out")
    taps = listening(bench)
    bench.lay(bench.uids[0])
    await asyncio.sleep(2)
    for pause_s in (0.5, 30):
        bench.unplug()
        await asyncio.sleep(pause_s)
        bench.plug()
        await asyncio.sleep(10)
    assert len(taps) == 1
    bench.take_away()
    await asyncio.sleep(4)
    await present(bench, bench.uids[0])
    assert len(taps) == 2
