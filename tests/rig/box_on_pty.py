"""An EV test box (the firmware of ev_box.py) on a pty, whose relays move the electricity of a WASM board.

With it the rig meets a simulated board as it meets a real one: a port for the board, a port for the box, nothing else.
"""

import asyncio
import os
import tty
from collections.abc import Awaitable, Callable

from tests.helpers.wasm_board import WasmBoard
from tests.rig.ev_box import CABLES, RELAYS, EvBox

OHM = {0: 0, 13: 1500, 20: 680, 32: 220, 63: 100}
PERIOD_US = 1000


class _Relay:
    level = 0

    def value(self, level: int) -> None:
        self.level = level


class BoxOnPty:
    """`port` is the box's serial port. `move(relays)` is awaited before each answer; it returns the pilot's duty."""

    def __init__(self, move: Callable[[dict[str, int]], Awaitable[int]]) -> None:
        self._move = move
        self._relays = {name: _Relay() for name in RELAYS}
        self._duty = 10000
        self._box = EvBox(self._relays, self._pulses, lambda ms: None)
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._pending = b""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        self._task = asyncio.create_task(self._serve())

    def _pulses(self) -> tuple[int, int] | int:
        if self._duty == 10000:
            return 1
        high_us = round(PERIOD_US * self._duty / 10000)
        return high_us, PERIOD_US - high_us

    def _read(self) -> None:
        *lines, self._pending = (self._pending + os.read(self._master, 1000)).split(b"\n")
        for line in lines:
            self._lines.put_nowait(line)

    async def _serve(self) -> None:
        while True:
            line = (await self._lines.get()).decode()
            answer = self._box.answer(line)
            self._duty = await self._move({name: relay.level for name, relay in self._relays.items()})
            if line == "pilot":
                answer = self._box.answer(line)
            os.write(self._master, answer.encode() + b"\r\n")

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        os.close(self._master)
        os.close(self._slave)


def wired_to(board: WasmBoard) -> Callable[[dict[str, int]], Awaitable[int]]:
    """What the relays of a box mean for the electricity of a WASM board."""

    async def move(relays: dict[str, int]) -> int:
        states = {"short": "E", "fan": "D", "s2": "C", "plug": "B"}
        car = next((state for relay, state in states.items() if relays["plug"] and relays[relay]), "A")
        rating = next((rating for rating in CABLES[1:] if relays[f"pp{rating}"]), 0)
        values = {"car": car, "diode": not relays["no_diode"], "ohm": OHM[rating]}
        return int((await board.ask(set=values))["duty"])

    return move
