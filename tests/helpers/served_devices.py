"""Devices behind TCP ports in a thread of their own, for programs that open ports themselves: `socket://...`.

    with ServedDevices() as devices:
        port = devices.board()                       # our firmware on simulated electricity
        port = devices.meters({1: ("sdm630", SHOWN)})
        port = devices.speaking(lambda octets: b"")  # anything else; this one is silent

The test's own loop is free, so that a command of `CliRunner` or a process may talk to them.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from hal.drivers.modbus_meter import load_profile
from hal.ports import MeterReading
from hal.sim.card_readers import PlayedPn532
from hal.sim.firmware import SimulatedBoard
from hal.sim.modbus_meters import ModbusMeters, PlayedMeter
from hal.sim.world import World

Value = TypeVar("Value")

IDLE = MeterReading(
    at_time=0.0,
    energy_import_wh=12_873_451.0,
    power_w=3.0,
    voltage_v=(230.0, 231.0, 229.5),
    current_a=(0.01, 0.0, 0.0),
    power_phase_w=(3.0, 0.0, 0.0),
    frequency_hz=50.0,
    power_factor=1.0,
)
"""What a meter shows while nobody charges."""


class ServedDevices:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._servers: list[asyncio.Server] = []
        self._boards: list[SimulatedBoard] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def speaking(
        self, answer: Callable[[bytes], bytes], greeting: bytes = b"", again_s: float | None = None
    ) -> str:
        """A device that says `greeting` when the port is opened, and `answer(octets)` to whatever it hears.

        `again_s`: it repeats its greeting by itself."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def greet() -> None:
                writer.write(greeting)
                while again_s is not None:
                    await asyncio.sleep(again_s)
                    writer.write(greeting)

            greeting_again = asyncio.create_task(greet())
            try:
                while octets := await reader.read(256):
                    writer.write(answer(octets))
            except ConnectionError:
                pass
            finally:
                greeting_again.cancel()
                writer.close()

        return self._serve(serve)

    def meters(self, units: Mapping[int, tuple[str, MeterReading]]) -> str:
        """Modbus units by address: model and what it shows. Two lines never meet here."""
        played = ModbusMeters(
            {
                unit: PlayedMeter(load_profile(model), lambda shown=shown: shown, str(4710 + unit))  # type: ignore[misc]
                for unit, (model, shown) in units.items()
            }
        )
        return self.speaking(played.feed)

    def board(self, evses: int = 1, faults: Mapping[int, str] | None = None) -> str:
        """An I/O board with `evses` connectors; `faults` by EVSE."""

        async def build() -> SimulatedBoard:
            world = World(evses=evses, loop=asyncio.get_running_loop())
            for evse_id, code in (faults or {}).items():
                world.set_fault(evse_id, code)
            return SimulatedBoard(world)

        board = self._call(build())
        self._boards.append(board)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await board.line.open(writer.write, lambda _error: None)
            try:
                while octets := await reader.read(4096):
                    board.line.write(octets)
            except ConnectionError:
                pass
            finally:
                board.line.close()
                writer.close()

        return self._serve(serve)

    def pn532(self) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = _Line(writer.write)
            PlayedPn532(line)
            try:
                while octets := await reader.read(4096):
                    line.device(octets)
            except ConnectionError:
                pass
            finally:
                writer.close()

        return self._serve(serve)

    def _serve(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> str:
        server = self._call(asyncio.start_server(serve, "127.0.0.1", 0))
        self._servers.append(server)
        return f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def _call(self, work: Awaitable[Value]) -> Value:
        async def run() -> Value:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()
        for board in self._boards:
            board.close()
            board.world.close()
        await asyncio.sleep(0.05)  # the transports of the last connections end


class _Line:
    """`hal.sim.card_readers.DeviceLine` over a connection."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.send = send
        self.device: Callable[[bytes], None] = lambda octets: None
