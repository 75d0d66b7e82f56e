"""One way to plug, charge and break a board, whether it is simulated, in WASM, or real: the rigs of the contract suite
and of `tests/rig`.

A rig gives a stream (for `board_client.BoardClient`) and the electricity behind it. A real board's electricity is an
`ExternalEv` (a test box, a person at one), or there is none: then `can` is empty, and `has_electricity` False.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any, NamedTuple, Protocol

import pytest

from board import wire
from hal.bus.byte_stream import ByteStream
from hal.bus.serial_port import LineSettings, SerialPort
from hal.sim.evse import CABLE_OHM, OVERDRAW
from hal.sim.firmware import SimulatedBoard
from hal.sim.vehicle import offered_current_a
from hal.sim.world import World
from tests.helpers.board_tap import TappedStream
from tests.helpers.wasm_board import WasmBoard

LogEntry = tuple[float, str, object]
"""(ms of the electricity's own clock, what, value). `closed`: the contactor's contacts, `duty`: the pilot in 0.01 %."""

ALL_OF_A_SIMULATION = frozenset(
    {"car", "D", "E", "diode", "cable", "leak", "welded", "never_closes", "emergency", "overdraw", "quick"}
)
DETECTION_MS = {"A": 20, "B": 20, "C": 30, "D": 30, "E": 20, "F": 20}
"""How long before its event a change of the pilot happened, at most: the firmware's debounce (docs/board.md)."""


class SeenPilot(NamedTuple):
    """The pilot's PWM as measured outside the board."""

    duty_percent: float
    tolerance: float
    """Of the duty, in %."""
    frequency_hz: float | None


SIMULATED_DUTY_TOLERANCE = 0.02
"""The duty passes through whole steps of 0.01 % and of a 16-bit PWM."""


class Rig(Protocol):
    """A board and its electricity. Car states are those of the pilot: A to E."""

    has_electricity: bool
    """A test may move the car and break things without asking anybody."""
    can: frozenset[str]
    """What `car` and `set` can do: "car" (A, B, C), "D", "E", and names of `set`; "quick": within a second."""
    connector: int
    stream: ByteStream

    async def start(self) -> None: ...
    async def car(self, state: str) -> None: ...
    async def set(self, **values: object) -> None:
        """leak, diode, welded, never_closes, emergency; cable: its rating in A, 0 = none that is known;
        overdraw: a car that takes half as much again as its 16 A."""

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        """Run `cause`; how many ms later the contactor's contacts moved."""

    async def log(self) -> list[LogEntry]:
        """What the electricity itself has noted since the last call; nothing where nobody takes notes."""

    async def seen_pilot(self) -> SeenPilot | None:
        """The pilot's PWM, measured outside the board; None where nobody does."""

    async def drawn_a(self) -> float | None:
        """What the EV draws per phase, measured outside the board; None where nobody does."""

    async def stop(self) -> None: ...


class SimulatedRig:
    """The firmware under CPython on `hal.sim`, on virtual time."""

    has_electricity = True
    can = ALL_OF_A_SIMULATION

    def __init__(
        self,
        connector: int = 1,
        *,
        connectors: int = 1,
        has_lock: bool = True,
    ) -> None:
        self.connector = connector
        self._world = World(evses=connectors, has_lock=has_lock)
        self._board = SimulatedBoard(self._world)
        self._cable_a = 32
        self._log: list[LogEntry] = []
        self._noted: dict[str, object] = {}
        self._world.subscribe(lambda _: self._note_changes())
        self.stream: ByteStream = self._board.line

    def beside(self, connector: int) -> "SimulatedRig":
        """The same board's other connector; this rig starts and stops both."""
        other = copy(self)
        other.connector = connector
        other._log, other._noted = [], {}
        self._world.subscribe(lambda _: other._note_changes())
        return other

    async def start(self) -> None: ...

    def _note_changes(self) -> None:
        evse = self._world.evse(self.connector)
        self._note("closed", evse.is_contactor_closed)
        self._note("duty", _duty_of(evse))

    def _note(self, what: str, value: object) -> None:
        if self._noted.get(what) != value:
            self._noted[what] = value
            self._log.append((self._world.loop.time() * 1000, what, value))

    async def car(self, state: str) -> None:
        self._note("car", state)
        evse = self._world.evse(self.connector)
        for code, bad_state in (("vent_unavailable", "D"), ("cp_range", "E")):
            (self._world.set_fault if state == bad_state else self._world.clear_fault)(self.connector, code)
        if state == "A":
            if evse.is_plugged:
                self._world.unplug(self.connector, is_torn_out=True)
            return
        if not evse.is_plugged:
            self._world.plug(self.connector, draw_after_s=None, cable_a=self._cable_a, is_stubborn=True)
            await asyncio.sleep(0.001)
        assert evse.vehicle is not None
        # As a hand on a test box would: S2 at once, whatever the EV's manners.
        evse.vehicle.wants_energy = state in "CD"
        evse.vehicle._set_s2(state in "CD")

    async def set(self, **values: object) -> None:
        names = {
            "leak": "rcd_dc",
            "welded": "contactor_welded",
            "never_closes": "contactor_no_close",
            "emergency": "emergency_stop",
            "overdraw": "over_current",
        }
        for name, value in values.items():
            self._note(name, value)
            if name == "diode":
                (self._world.clear_fault if value else self._world.set_fault)(self.connector, "cp_diode")
            elif name == "cable":
                assert isinstance(value, int)
                (self._world.clear_fault if value else self._world.set_fault)(self.connector, "pp_range")
                self._cable_a = value or self._cable_a
            else:
                (self._world.set_fault if value else self._world.clear_fault)(self.connector, names[name])

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        evse = self._world.evse(self.connector)
        moved = asyncio.Event()
        stop = self._world.subscribe(lambda _: moved.set() if evse.is_contactor_closed == closed else None)
        start = self._world.loop.time()
        await cause()
        await asyncio.wait_for(moved.wait(), 10)
        stop()
        return (self._world.loop.time() - start) * 1000

    async def log(self) -> list[LogEntry]:
        log, self._log = self._log, []
        return log

    async def seen_pilot(self) -> SeenPilot | None:
        return SeenPilot(_duty_of(self._world.evse(self.connector)) / 100, SIMULATED_DUTY_TOLERANCE, None)

    async def drawn_a(self) -> float | None:
        return self._world.evse(self.connector).current_a

    async def stop(self) -> None:
        self._board.close()
        self._world.close()


def _duty_of(evse: Any) -> int:
    return round((evse._duty_percent or 0) * 100)


class WasmRig:
    """The firmware in real MicroPython, in real time."""

    has_electricity = True
    can = ALL_OF_A_SIMULATION

    def __init__(self, connector: int = 1, *, pcb: str = "reference") -> None:
        self.connector = connector
        self.board = WasmBoard(pcb)
        self._share = 1.0
        self.stream: ByteStream = SerialPort("", LineSettings(115200))

    def beside(self, connector: int) -> "WasmRig":
        """The same board's other connector; this rig starts and stops both."""
        other = copy(self)
        other.connector = connector
        return other

    async def start(self) -> None:
        await self.board.start()
        self.stream = SerialPort(f"socket://127.0.0.1:{self.board.uart_port}", LineSettings(115200))

    async def car(self, state: str) -> None:
        await self.board.ask(set={"connector": self.connector, "car": state})

    async def set(self, **values: object) -> None:
        if "overdraw" in values:
            self._share = OVERDRAW if values.pop("overdraw") else 1.0
        if "cable" in values:
            rating = values.pop("cable")
            values["ohm"] = CABLE_OHM[rating] if isinstance(rating, int) and rating else 0
        await self.board.ask(set={"connector": self.connector, **values})

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        await self.board.ask(log=True)
        await cause()
        deadline = time.monotonic() + 10
        log: list[LogEntry] = []
        while time.monotonic() < deadline:
            log += await self.log()
            moves = [at for at, what, value in log if what == "closed" and bool(value) == closed]
            if moves:
                return float(moves[0] - log[0][0])
            await asyncio.sleep(0.01)
        raise AssertionError(f"the contactor did not move; {log}")

    async def log(self) -> list[LogEntry]:
        """Of this connector and of what all share; another one's have its number in front."""
        own = f"{self.connector}."
        log = (await self.board.ask(log=True))["log"]
        if self.connector > 1:
            return [(at, what.removeprefix(own), value) for at, what, value in log if what.startswith(own)]
        return [(at, what, value) for at, what, value in log if "." not in what]

    async def seen_pilot(self) -> SeenPilot | None:
        return SeenPilot(
            (await self.board.ask())["connectors"][self.connector - 1]["duty"] / 100,
            SIMULATED_DUTY_TOLERANCE,
            None,
        )

    async def drawn_a(self) -> float | None:
        """The electricity knows no appetite: a car that takes what it may, 16 A at most."""
        state = (await self.board.ask())["connectors"][self.connector - 1]
        if not state["closed"] or state["car"] not in "CD":
            return 0.0
        return min(16.0, offered_current_a(state["duty"] / 100)) * self._share

    async def stop(self) -> None:
        await self.board.stop()


class ExternalEv(Protocol):
    """What plugs a car into a real board. `see` of `start` tells the pilot as the board has it now (None: unknown)."""

    can: frozenset[str]
    is_automatic: bool
    """It needs no person."""

    async def start(self, see: Callable[[], str | None]) -> None:
        """Ready, unplugged, with a whole diode and a 32 A cable."""

    async def car(self, state: str) -> None: ...
    async def set(self, **values: object) -> None: ...
    async def seen_pilot(self) -> SeenPilot | None: ...
    async def stop(self) -> None: ...


class RealRig:
    """A board on a serial port, timed by its own clock; its car is an `ExternalEv`, or there is none."""

    def __init__(self, port: str, ev: ExternalEv | None = None, connector: int = 1) -> None:
        self.can = ev.can if ev else frozenset()
        self.has_electricity = ev is not None and ev.is_automatic
        self.connector = connector
        self._ev = ev
        self._pilot: str | None = None
        self._events: list[wire.Event] = []
        self._heard = asyncio.Event()
        self.stream: ByteStream = TappedStream(SerialPort(port, LineSettings(115200)), self._on_frame)

    def _on_frame(self, from_board: bool, message_type: int, payload: bytes) -> None:
        if from_board and message_type == wire.STATUS:
            status = wire.unpack_status(payload)
            if status.connector == self.connector:
                self._pilot = wire.PILOT_NAMES[status.pilot]
        elif from_board and message_type == wire.EVENT:
            event = wire.unpack_event(payload)
            if event.connector == self.connector and event.event_seq not in {
                e.event_seq for e in self._events
            }:
                self._events.append(event)
                self._heard.set()

    async def start(self) -> None:
        if self._ev:
            await self._ev.start(lambda: self._pilot)

    async def car(self, state: str) -> None:
        assert self._ev is not None
        await self._ev.car(state)

    async def set(self, **values: object) -> None:
        for name in values:
            if name not in self.can:
                pytest.skip(f"this EV cannot do: {name}")
        assert self._ev is not None
        await self._ev.set(**values)

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        self._events.clear()
        await cause()
        async with asyncio.timeout(10):
            while not self._moved(closed):
                self._heard.clear()
                await self._heard.wait()
        changes = [event for event in self._events if event.kind == wire.EVENT_PILOT]
        assert changes, "the contactor moved, but the board saw no change of the pilot"
        state = wire.PILOT_NAMES[changes[0].a]
        return self._moved(closed)[0].uptime_ms - changes[0].uptime_ms + DETECTION_MS[state]

    def _moved(self, closed: bool) -> list[wire.Event]:
        moves = (event for event in self._events if event.kind == wire.EVENT_CONTACTOR)
        return [event for event in moves if bool(event.a & wire.CONTACTOR_FEEDBACK) == closed]

    async def log(self) -> list[LogEntry]:
        return []

    async def seen_pilot(self) -> SeenPilot | None:
        return await self._ev.seen_pilot() if self._ev else None

    async def drawn_a(self) -> float | None:
        return None

    async def stop(self) -> None:
        if self._ev:
            await self._ev.stop()
