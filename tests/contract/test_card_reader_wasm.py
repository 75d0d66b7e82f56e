"""Card readers on a UART of the board, the firmware in real MicroPython: the whole way from its pins to a token."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from hal.bus.serial_port import LineSettings, SerialPort
from hal.drivers.board_evse import BoardEvse, IoBoard
from hal.drivers.board_link import BoardLink
from hal.drivers.board_stream import BoardStream
from hal.drivers.pn532_reader import Pn532Reader
from hal.drivers.rdm6300_reader import Rdm6300Reader
from hal.ports import Setpoint
from hal.sim.card_readers import PlayedPn532, rdm6300_frame
from tests.helpers.wasm_board import WasmBoard

pytestmark = [pytest.mark.wasm, pytest.mark.real_time, pytest.mark.xdist_group("wasm")]

UART = 1
BAUD_RATE = 9600
"""Of the reference map's port, whatever reader is played on it."""


class WasmSerial:
    """The device's end of the board's second UART: a `hal.sim.card_readers.DeviceLine`."""

    def __init__(self, board: WasmBoard) -> None:
        self.device: Callable[[bytes], None] = lambda octets: None
        self._board = board
        self._to_say = bytearray()

    def send(self, octets: bytes) -> None:
        self._to_say += octets

    async def run(self) -> None:
        while True:
            octets = list(self._to_say)
            self._to_say.clear()
            reply = await self._board.ask(serial={"uart": UART, "octets": octets})
            if reply["serial_sent"]:
                self.device(bytes(reply["serial_sent"]))
            await asyncio.sleep(0.01)


class Bench:
    def __init__(self, board: WasmBoard) -> None:
        self.port = WasmSerial(board)
        url = f"socket://127.0.0.1:{board.uart_port}"
        self.link = BoardLink(SerialPort(url, LineSettings(115_200)), "test")
        self.evse = BoardEvse(self.link, 1, 32.0, asyncio.get_running_loop().time())
        self.evse.apply(Setpoint())
        self.stream = BoardStream(self.link, "reader", BAUD_RATE)
        self.taps: asyncio.Queue[str] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def reading(self, reader: Rdm6300Reader | Pn532Reader) -> AsyncIterator[None]:
        reader.subscribe(lambda uid, kind: self.taps.put_nowait(uid))
        task = asyncio.create_task(reader.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def tap(self) -> str:
        return await asyncio.wait_for(self.taps.get(), 10)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    board = WasmBoard()
    try:
        await board.start()
        bench = Bench(board)
        tasks = [asyncio.create_task(run()) for run in (bench.link.run, bench.port.run)]
        yield bench
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await board.stop()


async def test_a_pn532_answers_through_the_board(bench: Bench) -> None:
    device = PlayedPn532(bench.port)
    device.lay("04A1B2C3D4E5F6")
    async with bench.reading(Pn532Reader(bench.stream)):
        assert await bench.tap() == "04A1B2C3D4E5F6"


async def test_a_mad_reader_costs_no_status_and_is_heard_again_when_it_is_sane(bench: Bench) -> None:
    healthy: asyncio.Queue[str | None] = asyncio.Queue()
    async with bench.reading(Rdm6300Reader(bench.stream, (), healthy.put_nowait)):
        assert await asyncio.wait_for(healthy.get(), 10) is None
        states: list[float] = []
        begin = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - begin < 2:
            bench.port.send(bytes(range(256)) * 2)
            await asyncio.sleep(0.05)
            states.append(bench.evse.state.at_time)
        assert bench.evse.state.link_ok
        assert len(set(states)) >= 2, "STATUS each second"
        lost = await IoBoard(bench.link).read(["serial_lost"])
        assert lost["serial_lost"] > 0
        await asyncio.sleep(0.5)
        bench.port.send(rdm6300_frame("0F00A1B2C3"))
        assert await bench.tap() == "0F00A1B2C3"
