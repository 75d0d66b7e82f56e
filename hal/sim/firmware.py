"""The real firmware (`board/`) on simulated electricity, behind an in-memory serial line.

There is one control path: what runs here is `board.app.Board`, only its pins are `hal.sim.world`. Ticks stand
on the board's 10 ms grid; those that could change nothing are left out (`Board.next_due_ms`), so that an idle
board costs next to nothing. The only host module besides the wire's users that imports `board`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from board import wire
from board.app import TICK_MS, Board
from board.config import Config
from board.connector import INPUT_DOOR, INPUT_EMERGENCY, INPUT_TILT, PILOT_OUT_E
from board.limits import Limits
from board.lock import STOP, TO_LOCKED
from board.residual import TRIP_AC, TRIP_DC
from hal.bus.byte_stream import OnBytes, OnLost
from hal.errors import DeviceMissing
from hal.ports import FaultCode
from hal.sim.evse import SimulatedEvse
from hal.sim.serial_port import SimulatedSerialPort
from hal.sim.world import World

BOOT_S = 0.3
"""From reset to the first tick."""
WATCHDOG_S = 0.5
PAUSE_S = 0.02
"""A tick that comes later than this has waited for the host's process: the board's time stood still, too."""
RESET_CAUSES = {name: cause for cause, name in wire.RESET_NAMES.items()}

_log = logging.getLogger(__name__)


class _ConnectorPins:
    """`board.connector.ConnectorPins` over one simulated EVSE."""

    has_rcd_test = True
    can_wake = True
    high_mv = 0
    low_mv = 0

    def __init__(self, evse: SimulatedEvse, limits: Limits) -> None:
        self._evse = evse
        self.has_lock = evse.built.has_lock
        self.limits = limits
        self._currents = [wire.NO_CURRENT] * 3
        self.pattern = "off"

    def sample(self) -> bool:
        self.high_mv, self.low_mv = self._evse.pilot_mv()
        return True

    def set_pilot(self, duty: int) -> None:
        self._evse.drive_pilot(None if duty == PILOT_OUT_E else duty / 100)

    def set_contactor(self, closed: bool) -> None:
        self._evse.drive_contactor(closed)

    def is_closed(self) -> bool:
        return self._evse.is_contactor_closed

    def rcd_trips(self) -> int:
        dc, ac = self._evse.rcd_trips
        return (TRIP_DC if dc else 0) | (TRIP_AC if ac else 0)

    def set_rcd_test(self, on: bool) -> None:
        self._evse.drive_rcd_test(on)

    def residual(self) -> int:
        return round(self._evse.residual_current_a * 10000)

    def proximity_ohm(self) -> int:
        return self._evse.proximity_ohm

    def drive_lock(self, direction: int) -> None:
        self._evse.drive_lock(None if direction == STOP else direction == TO_LOCKED)

    def is_locked(self) -> bool:
        return self._evse.is_locked

    def temperature(self) -> int:
        temperature_c = self._evse.temperature_c
        return wire.NO_TEMPERATURE if temperature_c is None else round(temperature_c * 10)

    def inputs(self) -> int:
        faults = self._evse.faults
        bits = INPUT_EMERGENCY if FaultCode.EMERGENCY_STOP in faults else 0
        bits |= INPUT_DOOR if FaultCode.DOOR_OPEN in faults else 0
        return bits | (INPUT_TILT if FaultCode.TILT in faults else 0)

    def currents(self) -> list[int]:
        if self._evse.built.has_current_sensors:
            for phase, current_a in enumerate(self._evse.drawn_a):
                self._currents[phase] = round(current_a * 10)
        return self._currents

    def set_ventilation(self, on: bool) -> None:
        self._evse.ventilate(on)

    def set_phases(self, three: bool) -> None:
        self._evse.drive_phases(three)

    def phases_closed(self) -> int:
        return int(self._evse.has_three_phases)

    def outlet(self) -> int:
        return self._evse.outlet

    def show(self, pattern: str) -> None:
        self.pattern = pattern


class MemoryStorage:
    """`board.config.Storage` that outlives a reset, but not the process."""

    def __init__(self) -> None:
        self.octets = b""

    def read(self) -> bytes:
        return self.octets

    def write(self, octets: bytes) -> None:
        self.octets = octets


class SimulatedBoard:
    """A board with its firmware running; `line` is its serial port (a `hal.bus.byte_stream.ByteStream`).

    `outputs` are the auxiliary relays by name, `limits` what a pin map would say (`board/limits.py`), `serial_ports`
    the UARTs by name and baud rate. `close` stops it for good."""

    model = "simulated"
    unique_id = "SIM"
    pcb = "simulated"
    problem = ""
    sensors: Sequence[str] = ("supply_v",)

    def __init__(
        self,
        world: World,
        *,
        outputs: Sequence[str] = ("fan", "light"),
        max_current_a: float = 32.0,
        limits: Mapping[str, int] = MappingProxyType({}),
        serial_ports: Mapping[str, int] = MappingProxyType({}),
        skips_idle_ticks: bool = True,
    ) -> None:
        self.world = world
        self.phases = world.built.phases
        self.output_states = dict.fromkeys(outputs, False)
        self.line = SimulatedLine(self)
        self.flash = MemoryStorage()
        """Outlives every reset: what was set with CONFIG."""
        self._register = 0
        """Outlives every reset but a power cut."""
        self.serial = {
            name: SimulatedSerialPort(world.loop, baud, self._wake) for name, baud in serial_ports.items()
        }
        """The UARTs for card readers by name; what hangs on them is `SimulatedSerialPort.device`."""
        self.ticks = 0
        """How many ticks have run: what skipping saves."""
        self._loop = world.loop
        self._limits = {"max_da": int(max_current_a * 10), **limits}
        self._skips = skips_idle_ticks
        self._timer: asyncio.TimerHandle | None = None
        self._due_tick = 0
        self._origin = 0.0
        self._last_tick = -1
        self._is_hung = False
        self._trips_before: dict[int, int] = {}
        self._pins: list[_ConnectorPins] = []
        self._stop_listening = world.subscribe(self._on_change)
        self._board: Board | None = None
        self._boot(wire.RESET_POWER)

    @property
    def outputs(self) -> Sequence[str]:
        return tuple(self.output_states)

    @property
    def connectors(self) -> Sequence[_ConnectorPins]:
        return self._pins

    @property
    def patterns(self) -> dict[int, str]:
        """What each EVSE's status light shows."""
        return {index + 1: pins.pattern for index, pins in enumerate(self._pins)}

    # ---- board.app.BoardPins -----------------------------------------------------------------------------

    def set_output(self, name: str, on: bool) -> None:
        self.output_states[name] = on

    def read(self, name: str) -> float:
        return 12.0

    @property
    def serial_ports(self) -> Sequence[tuple[str, int]]:
        return [(name, port.baud_rate) for name, port in self.serial.items()]

    def read_serial(self, index: int) -> bytes | None:
        return list(self.serial.values())[index].read()

    def write_serial(self, index: int, octets: bytes) -> None:
        list(self.serial.values())[index].write(octets)

    def feed_watchdog(self) -> None:
        """Ticks that are due run on time here, unless `hang` stopped them."""

    def keep_latches(self, word: int) -> None:
        self._register = word

    def kept_latches(self) -> int:
        return self._register

    def reboot(self, mode: int) -> None:
        self._loop.call_soon(self.reset, "soft")

    # ---- running -----------------------------------------------------------------------------------------

    def _boot(self, cause: int) -> None:
        evses = self.world.evses.values()
        pcb = [Limits(self._limits) for _ in evses]
        config = Config(self.flash, pcb)
        self._pins = [_ConnectorPins(evse, limits) for evse, limits in zip(evses, config.limits, strict=True)]
        self._board = Board(self, self.line.send_to_host, cause, config)
        self._origin = self._loop.time()
        self._last_tick = -1
        self._is_hung = False
        self._trips_before = {}
        self._schedule(0)

    def _now_ms(self) -> int:
        # A hair more, so that a timer that is due reads as due in whole milliseconds.
        return int((self._loop.time() - self._origin) * 1000 + 1e-3)

    def _schedule(self, tick: int) -> None:
        if self._timer is not None:
            if tick >= self._due_tick:
                return
            self._timer.cancel()
        self._due_tick = tick
        self._timer = self._loop.call_at(self._origin + tick * TICK_MS / 1000, self._tick)

    def _forgive_pause(self) -> None:
        """A real board does not wait for the host. If this one ran through what it missed, it would see no electricity
        move meanwhile and find faults in it."""
        if self._timer is not None and self._board is not None:
            late_s = self._loop.time() - (self._origin + self._due_tick * TICK_MS / 1000)
            if late_s > PAUSE_S:
                self._origin += late_s

    def _tick(self) -> None:
        self._forgive_pause()
        self._timer = None
        board = self._board
        if board is None or self._is_hung:
            return
        tick = self._due_tick
        self._last_tick = tick
        self.ticks += 1
        board.tick(tick * TICK_MS)
        self._schedule_next(board, tick * TICK_MS)

    def _schedule_next(self, board: Board, now_ms: int) -> None:
        due_ms = board.next_due_ms(now_ms) if self._skips else now_ms + TICK_MS
        self._schedule(max(-(-due_ms // TICK_MS), self._last_tick + 1))

    def _wake(self) -> None:
        """Something changed: run the next tick of the grid."""
        if self._board is not None and not self._is_hung:
            self._forgive_pause()
            self._schedule(max(-(-self._now_ms() // TICK_MS), self._last_tick + 1))

    def _on_change(self, evse_id: int) -> None:
        self.line.is_cut = any(FaultCode.BOARD_COMM in evse.faults for evse in self.world.evses.values())
        trips = self._pins[evse_id - 1].rcd_trips()
        self._forgive_pause()
        rising = trips & ~self._trips_before.get(evse_id, 0)
        self._trips_before[evse_id] = trips
        if rising and self._board is not None and not self._is_hung:
            self._board.on_rcd_interrupt(self._now_ms(), evse_id - 1, rising)
        self._wake()

    def receive(self, octets: bytes) -> None:
        """Bytes from the host, from `line`."""
        if self._board is not None and not self._is_hung:
            self._forgive_pause()
            now_ms = self._now_ms()
            self._board.receive(octets, now_ms)
            self._schedule_next(self._board, now_ms)

    def hang(self) -> None:
        """The firmware stops; the watchdog restarts it."""
        self._is_hung = True
        self._loop.call_later(WATCHDOG_S, self.reset, "wdt")

    def reset(self, cause: str = "power") -> None:
        """Restart with a cause of wire.RESET_NAMES; outputs go to their safe side at once."""
        if self._board is None:
            return
        self._power_off()
        if cause == "power":
            self._register = 0
        _log.info("simulated board restarts (%s)", cause)
        self._timer = self._loop.call_later(BOOT_S, self._start_again, RESET_CAUSES[cause])

    def _start_again(self, cause: int) -> None:
        self._timer = None
        self._boot(cause)

    def _power_off(self) -> None:
        self._board = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.output_states = dict.fromkeys(self.output_states, False)
        for port in self.serial.values():
            port.power_off()
        for evse in self.world.evses.values():
            evse.power_off()

    def close(self) -> None:
        """Stop for good: outputs safe, no timer left."""
        self._power_off()
        self._stop_listening()


class SimulatedLine:
    """The wire between host and board, in memory. Bytes arrive in the loop's next turn, as from a port.

    `is_cut` loses them both ways, silently; `unplug` makes the line go away as an adapter does."""

    def __init__(self, board: SimulatedBoard) -> None:
        self.is_cut = False
        self._board = board
        self._loop = board.world.loop
        self._on_bytes: OnBytes | None = None
        self._on_lost: OnLost | None = None
        self._is_missing = False

    @property
    def name(self) -> str:
        return "sim"

    async def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        if self._is_missing:
            raise DeviceMissing("the simulated line is unplugged")
        self._on_bytes = on_bytes
        self._on_lost = on_lost

    def write(self, octets: bytes) -> None:
        if self._on_bytes is not None and not self.is_cut:
            self._loop.call_soon(self._board.receive, octets)

    def close(self) -> None:
        self._on_bytes = None
        self._on_lost = None

    def send_to_host(self, octets: bytes) -> None:
        if self._on_bytes is not None and not self.is_cut:
            self._loop.call_soon(self._deliver, octets)

    def _deliver(self, octets: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(octets)

    def unplug(self) -> None:
        """The adapter is pulled out: the host is told, and cannot open it until `replug`."""
        self._is_missing = True
        on_lost: Callable[[DeviceMissing], None] | None = self._on_lost
        self.close()
        if on_lost is not None:
            on_lost(DeviceMissing("the simulated line was unplugged"))

    def replug(self) -> None:
        self._is_missing = False
