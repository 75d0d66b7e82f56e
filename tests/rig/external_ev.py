"""Cars outside the machine that plug into a real board: an EV test box on a serial line, or a person at one.

`BoxEv` speaks the line protocol of `ev_box.py`; `ManualEv` asks on the terminal and watches the board's STATUS, so that
nobody has to press Enter. Both are `board_rigs.ExternalEv`. Timing is the board's: see `board_rigs.RealRig`.
"""

import asyncio
import os
from collections.abc import Callable
from typing import TextIO

import pytest

from hal.bus.serial_port import LineSettings, SerialPort
from hal.errors import DeviceMissing, DeviceProtocolError, DeviceTimeout, HalError
from tests.helpers.board_rigs import SeenPilot
from tests.rig import iec

ANSWER_S = 2.0
PERSON_S = 120
"""How long a person may take for one turn of the switch."""
STEP_S = 0.125
ENTER_GRACE_S = 3.0
"""After Enter: how long the board may take to see it, too."""


class BoxEv:
    """An EV test box behind a port (a device path or socket://). Raises HalError when it does not answer."""

    can = frozenset({"car", "D", "E", "diode", "cable", "quick"})
    is_automatic = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._port = SerialPort(url, LineSettings(115200))
        self._pending = b""
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._lost: DeviceMissing | None = None
        self._measures = False

    async def start(self, see: Callable[[], str | None]) -> None:
        self._lost = None
        await self._port.open(self._on_bytes, self._on_lost)
        await self.ask("who")
        for line in ("A", "diode 1", "pp 32"):
            await self.ask(line)
        # Unplugged, the pilot stands at +12 V: a box that does not see that has no wire to it.
        self._measures = await self.ask("pilot") == "10000 0"

    def _on_bytes(self, octets: bytes) -> None:
        *lines, self._pending = (self._pending + octets).split(b"\n")
        for line in lines:
            text = line.decode("ascii", "replace").strip()
            if text.startswith(("ok", "error")):
                self._answers.put_nowait(text)

    def _on_lost(self, error: DeviceMissing) -> None:
        self._lost = error

    async def ask(self, line: str) -> str:
        """What follows `ok` in the answer."""
        if self._lost:
            raise self._lost
        while not self._answers.empty():
            self._answers.get_nowait()
        self._port.write(line.encode() + b"\n")
        try:
            answer = await asyncio.wait_for(self._answers.get(), ANSWER_S)
        except TimeoutError:
            raise DeviceTimeout(f"the EV box at {self._url} does not answer {line!r}") from None
        word, _, rest = answer.partition(" ")
        if word != "ok":
            raise DeviceProtocolError(f"the EV box at {self._url} says: {answer}")
        return rest

    async def car(self, state: str) -> None:
        await self.ask(state)

    async def set(self, **values: object) -> None:
        for name, value in values.items():
            await self.ask(f"diode {int(bool(value))}" if name == "diode" else f"pp {value}")

    async def seen_pilot(self) -> SeenPilot | None:
        if not self._measures:
            return None
        duty, frequency = (await self.ask("pilot")).split()
        return SeenPilot(int(duty) / 100, iec.DUTY_TOLERANCE, int(frequency) / 10)

    async def stop(self) -> None:
        try:
            await self.ask("A")
        except HalError:
            pass  # it is gone; the board's test has said so
        finally:
            self._port.close()


class ManualEv:
    """A person at an EV test box. `enter` is the descriptor of the terminal; `s` and Enter skip the scenario."""

    can = frozenset({"car", "D", "E", "diode", "cable"})
    is_automatic = False

    def __init__(self, screen: TextIO, enter: int) -> None:
        self._screen = screen
        self._enter = enter
        self._see: Callable[[], str | None] = lambda: None
        self._typed = ""
        self._is_set: dict[str, object] = {"diode": True, "cable": 32}

    async def start(self, see: Callable[[], str | None]) -> None:
        self._see = see

    async def car(self, state: str) -> None:
        if self._see() != state:
            wish = "unplug the car" if state == "A" else f"turn the switch to {state}"
            await self._ask(wish, lambda: self._see() == state)

    async def set(self, **values: object) -> None:
        for name, value in values.items():
            if self._is_set.get(name) == value:
                continue
            if name == "diode":
                wish = "switch the diode on" if value else "bridge the diode"
            else:
                wish = f"set the cable coding to {value} A" if value else "take the cable coding away"
            await self._ask(wish + ", then press Enter", None)
            self._is_set[name] = value

    async def _ask(self, wish: str, is_seen: Callable[[], bool] | None) -> None:
        """Until the board's STATUS shows it, or Enter where it shows nothing."""
        loop = asyncio.get_running_loop()
        self._typed = ""
        loop.add_reader(self._enter, self._read_enter)
        waited_s = entered_s = 0.0
        try:
            while not (is_seen and is_seen()):
                if waited_s == int(waited_s):
                    self._screen.write(f"\r  >>>   {wish}  ({PERSON_S - waited_s:.0f} s; s = skip) ")
                    self._screen.flush()
                if self._typed.strip().lower().startswith("s"):
                    pytest.skip("skipped at the terminal")
                if "\n" in self._typed:
                    entered_s += STEP_S
                    if is_seen is None or entered_s > ENTER_GRACE_S:
                        return
                if waited_s >= PERSON_S:
                    raise AssertionError(f"nobody did it within {PERSON_S} s: {wish}")
                waited_s += STEP_S
                await asyncio.sleep(STEP_S)
        finally:
            loop.remove_reader(self._enter)
            self._screen.write("\n")

    def _read_enter(self) -> None:
        octets = os.read(self._enter, 100)
        if not octets:
            asyncio.get_running_loop().remove_reader(self._enter)  # nobody is at the terminal any more
        self._typed += octets.decode("utf-8", "replace")

    async def seen_pilot(self) -> SeenPilot | None:
        return None

    async def stop(self) -> None: ...
