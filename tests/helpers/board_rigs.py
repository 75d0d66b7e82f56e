"""One way to plug, charge and break a board, whether it is simulated, in WASM, or real: the contract suite's rigs.

A rig gives a stream (for `board_client.BoardClient`) and the electricity behind it; a real board has no
electricity that a test may move, so `has_electricity` is False there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from hal.bus.byte_stream import ByteStream
from hal.bus.serial_port import LineSettings, SerialPort
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World
from tests.helpers.wasm_board import WasmBoard


class Rig(Protocol):
    """A board and its electricity. Car states are those of the pilot: A, B, C."""

    has_electricity: bool
    stream: ByteStream

    async def start(self) -> None: ...
    async def car(self, state: str) -> None: ...
    async def set(self, **values: object) -> None:
        """leak, diode, welded, never_closes: what each simulation calls by its own name."""

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        """Run `cause`; how many ms later the contactor's contacts moved."""

    async def stop(self) -> None: ...


class SimulatedRig:
    """The firmware under CPython on `hal.sim`, on virtual time."""

    has_electricity = True

    def __init__(self) -> None:
        self._world = World()
        self._board = SimulatedBoard(self._world)
        self.stream: ByteStream = self._board.line

    async def start(self) -> None: ...

    async def car(self, state: str) -> None:
        evse = self._world.evse(1)
        if state == "A":
            self._world.unplug(1)
            return
        if not evse.is_plugged:
            self._world.plug(1, draw_after_s=None)
            await asyncio.sleep(0.001)
        assert evse.vehicle is not None
        # As a hand on a test box would: S2 at once, whatever the EV's manners.
        evse.vehicle.wants_energy = state == "C"
        evse.vehicle._set_s2(state == "C")

    async def set(self, **values: object) -> None:
        names = {
            "leak": "rcd_dc",
            "welded": "contactor_welded",
            "never_closes": "contactor_no_close",
            "emergency": "emergency_stop",
        }
        for name, value in values.items():
            if name == "diode":
                (self._world.clear_fault if value else self._world.set_fault)(1, "cp_diode")
            else:
                (self._world.set_fault if value else self._world.clear_fault)(1, names[name])

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        evse = self._world.evse(1)
        moved = asyncio.Event()
        stop = self._world.subscribe(lambda _: moved.set() if evse.is_contactor_closed == closed else None)
        start = self._world.loop.time()
        await cause()
        await asyncio.wait_for(moved.wait(), 10)
        stop()
        return (self._world.loop.time() - start) * 1000

    async def stop(self) -> None:
        self._board.close()
        self._world.close()


class WasmRig:
    """The firmware in real MicroPython, in real time."""

    has_electricity = True

    def __init__(self) -> None:
        self.board = WasmBoard()
        self.stream: ByteStream = SerialPort("", LineSettings(115200))

    async def start(self) -> None:
        await self.board.start()
        self.stream = SerialPort(f"socket://127.0.0.1:{self.board.uart_port}", LineSettings(115200))

    async def car(self, state: str) -> None:
        await self.board.ask(set={"car": state})

    async def set(self, **values: object) -> None:
        await self.board.ask(set=values)

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        await self.board.ask(log=True)
        await cause()
        deadline = time.monotonic() + 10
        log: list[list[Any]] = []
        while time.monotonic() < deadline:
            log += (await self.board.ask(log=True))["log"]
            moves = [at for at, what, value in log if what == "closed" and bool(value) == closed]
            if moves:
                return float(moves[0] - log[0][0])
            await asyncio.sleep(0.01)
        raise AssertionError(f"the contactor did not move; {log}")

    async def stop(self) -> None:
        await self.board.stop()


class RealRig:
    """A board on a serial port, with nothing plugged in."""

    has_electricity = False

    def __init__(self, port: str) -> None:
        self.stream: ByteStream = SerialPort(port, LineSettings(115200))

    async def start(self) -> None: ...

    async def car(self, state: str) -> None:
        raise NotImplementedError

    async def set(self, **values: object) -> None:
        raise NotImplementedError

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        raise NotImplementedError

    async def stop(self) -> None: ...
