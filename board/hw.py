"""The pins as objects: what `board/connector.py` and `board/app.py` need of the hardware, on `machine`.

Only this file and `hw_rp2.py` import `machine`; they decide nothing. Reset state: every pin floats and the pulls of
the carrier hold the safe side (contactor open, motor idle); `__init__` writes the safe level before it makes a pin
an output. On an RP2040 DMA samples the pilots; elsewhere 130 reads of about 12 us cover one and a half periods.
What a pin map leaves out has the level of "not there": no trip, no test, no light. Built by `board/main.py`.
"""

import os
import select
import sys
from array import array
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

import machine  # type: ignore[import-not-found]

from board import analog, light
from board.connector import INPUT_DOOR, INPUT_EMERGENCY, INPUT_TILT, PILOT_OUT_E
from board.lock import TO_LOCKED, TO_OPEN
from board.residual import TRIP_AC, TRIP_DC
from board.wire import (
    DUTY_OFF,
    NO_CURRENT,
    REBOOT_BOOTLOADER,
    RESET_POWER,
    RESET_SOFT,
    RESET_WATCHDOG,
    SERIAL_BUFFER,
    SERIAL_MAX,
    const,
)

try:
    from micropython import kbd_intr  # type: ignore[import-not-found]
except ImportError:  # CPython, or a port without a console
    kbd_intr = None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from board import hw_rp2
    from board.limits import Limits
    from board.wiring import Wiring

_PILOT_HZ = const(1000)
_SAMPLES = const(130)
_WATCHDOG_MS = const(500)
_SLOW_TICKS = const(100)
"""Temperatures are read once in so many ticks."""
_READ_MAX = const(256)
_UART_BUFFER = const(1024)
_DEAF_MS = const(10000)


IS_RP2040 = False
if "RP2040" in getattr(sys.implementation, "_machine", ""):
    try:
        from board import hw_rp2

        IS_RP2040 = True
    except ImportError:  # MicroPython before 1.22, without rp2.DMA
        pass


def _out(number: int, level: int = 0) -> "machine.Pin":
    return machine.Pin(number, machine.Pin.OUT, value=level)


def _out_if(number: "int | None") -> "machine.Pin | None":
    return None if number is None else _out(number)


def _in_if(number: "int | None", pull: int) -> "machine.Pin | None":
    return None if number is None else machine.Pin(number, machine.Pin.IN, pull)


class _Converter:
    """One input of the converter, which must not be sampling the pilots meanwhile."""

    def __init__(self, number: int, capture: "hw_rp2.PilotCapture | None") -> None:
        self._read = machine.ADC(number).read_u16
        self._capture = capture

    def read(self) -> int:
        if self._capture is not None:
            self._capture.hold()
        return int(self._read())


class ConnectorPins:
    """One connector's pins; see `board.connector.ConnectorPins`."""

    def __init__(
        self, index: int, wiring: "Wiring", limits: "Limits", capture: "hw_rp2.PilotCapture | None"
    ) -> None:
        roles = wiring.connectors[index]
        wired = roles.get
        pull_up, pull_down = machine.Pin.PULL_UP, machine.Pin.PULL_DOWN
        self._contactor = _out(roles["contactor"])
        self.limits = limits
        self.has_lock = "lock_motor" in roles
        self.has_rcd_test = "rcd_test" in roles
        self.can_wake = "cp_short" in roles
        self.high_mv = 0
        self.low_mv = 0
        self._index = index
        self._capture = capture
        self._levels = array("H", [0, 0])
        self._samples = array("H", [0] * _SAMPLES)
        self._cp_short = _out_if(wired("cp_short"))
        self._pwm = machine.PWM(machine.Pin(roles["cp_pwm"]), freq=_PILOT_HZ, duty_u16=65535)
        self._read_pilot = machine.ADC(roles["cp_adc"]).read_u16
        self._pp = self._adc_if(wired("pp_adc"))
        self._residual = self._adc_if(wired("residual_adc"))
        self._residual_full = wiring.residual_full
        self._mirror = machine.Pin(roles["mirror"], machine.Pin.IN, pull_up)
        self.rcd_dc = machine.Pin(roles["rcd_dc"], machine.Pin.IN, pull_down)
        self.rcd_ac = _in_if(wired("rcd_ac"), pull_down)
        self._rcd_test = _out_if(wired("rcd_test"))
        self._lock_motor = _out_if(wired("lock_motor"))
        self._unlock_motor = _out_if(wired("unlock_motor"))
        self._bolt = _in_if(wired("bolt"), pull_up)
        self._ventilation = _out_if(wired("ventilation"))
        if "phase_relay" in roles:  # where nothing ever moves it, it stands where PHASES says
            at_three = wiring.phases == 3 and not limits.can_switch_phases
            self._phase_relay = _out(roles["phase_relay"], 1 if at_three else 0)  # type: machine.Pin | None
        else:
            self._phase_relay = None
        self._phase_mirror = _in_if(wired("phase_mirror"), pull_up)
        self._light = _out_if(wired("light"))
        self.pattern = "off"
        self._current_adcs = [
            self._adc_if(wired("current_l%d_adc" % phase)) for phase in range(1, wiring.phases + 1)
        ]
        self._current_full_da = wiring.current_full_da
        self._currents = [NO_CURRENT] * 3
        self._inputs = _input_pins(wiring)
        self._has_thermistor = wired("temperature_adc") is not None
        self._thermometer = self._adc_if(wired("temperature_adc", analog.CHIP_SENSOR))
        self._slow = 0
        self._temperature = 250

    def _adc_if(self, number: "int | None") -> "_Converter | None":
        return None if number is None else _Converter(number, self._capture)

    def make_safe(self) -> None:
        """Whatever went wrong: open, no offer, motor idle."""
        self._contactor.value(0)
        self.set_pilot(DUTY_OFF)
        self.drive_lock(0)
        self.set_rcd_test(False)

    def sample(self) -> bool:
        levels = self._levels
        if self._capture is not None:
            if not self._capture.take(self._index, levels):
                return False
        else:
            read = self._read_pilot
            samples = self._samples
            i = 0
            while i < _SAMPLES:
                samples[i] = read() >> 4
                i += 1
            analog.plateaus(samples, 0, 1, levels)
        self.high_mv = analog.pilot_mv(levels[0])
        self.low_mv = analog.pilot_mv(levels[1])
        return True

    def set_pilot(self, duty: int) -> None:
        if duty == PILOT_OUT_E:
            self._pwm.duty_u16(65535)
            if self._cp_short is not None:
                self._cp_short.value(1)
        else:
            if self._cp_short is not None:
                self._cp_short.value(0)
            self._pwm.duty_u16(65535 if duty == DUTY_OFF else duty * 65535 // 10000)

    def set_contactor(self, closed: bool) -> None:
        self._contactor.value(1 if closed else 0)

    def is_closed(self) -> bool:
        return bool(self._mirror.value())

    def rcd_trips(self) -> int:
        trips = 0 if self.rcd_dc.value() else TRIP_DC
        if self.rcd_ac is not None and not self.rcd_ac.value():
            trips |= TRIP_AC
        return trips

    def set_rcd_test(self, on: bool) -> None:
        if self._rcd_test is not None:
            self._rcd_test.value(1 if on else 0)

    def residual(self) -> int:
        return 0 if self._residual is None else self._residual.read() * self._residual_full // 65535

    def proximity_ohm(self) -> int:
        return 0 if self._pp is None else analog.proximity_ohm(self._pp.read())

    def drive_lock(self, direction: int) -> None:
        if self._lock_motor is not None and self._unlock_motor is not None:
            self._lock_motor.value(1 if direction == TO_LOCKED else 0)
            self._unlock_motor.value(1 if direction == TO_OPEN else 0)

    def is_locked(self) -> bool:
        return self._bolt is not None and not self._bolt.value()

    def temperature(self) -> int:
        self._slow -= 1
        if self._slow < 0 and self._thermometer is not None:
            self._slow = _SLOW_TICKS
            level = self._thermometer.read()
            self._temperature = analog.ntc_dc(level) if self._has_thermistor else analog.chip_dc(level)
        return self._temperature

    def inputs(self) -> int:
        bits = 0
        for pin, bit in self._inputs:
            if pin.value():
                bits |= bit
        return bits

    def currents(self) -> "list[int]":
        currents = self._currents
        i = 0
        for converter in self._current_adcs:
            if converter is not None:
                currents[i] = converter.read() * self._current_full_da // 65535
            i += 1
        return currents

    def set_ventilation(self, on: bool) -> None:
        if self._ventilation is not None:
            self._ventilation.value(1 if on else 0)

    def set_phases(self, three: bool) -> None:
        if self._phase_relay is not None:
            self._phase_relay.value(1 if three else 0)

    def phases_closed(self) -> int:
        return -1 if self._phase_mirror is None else int(self._phase_mirror.value())

    def outlet(self) -> int:
        return 1

    def show(self, pattern: str) -> None:
        self.pattern = pattern

    def render(self, now_ms: int) -> None:
        if self._light is not None:
            self._light.value(1 if light.is_lit(self.pattern, now_ms) else 0)


def _input_pins(wiring: "Wiring") -> "list[tuple[machine.Pin, int]]":
    wired = ((wiring.emergency, INPUT_EMERGENCY), (wiring.door, INPUT_DOOR), (wiring.tilt, INPUT_TILT))
    return [
        (machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP), bit)
        for number, bit in wired
        if number is not None
    ]


class _SerialPort:
    """One of the board's UARTs that are tunnelled to the host."""

    def __init__(self, port: "dict[str, int]") -> None:
        self._uart = machine.UART(
            port["id"],
            port["baud"],
            tx=machine.Pin(port["tx"]),
            rx=machine.Pin(port["rx"], machine.Pin.IN, machine.Pin.PULL_UP),  # no noise without a reader
            rxbuf=SERIAL_BUFFER,
            txbuf=SERIAL_BUFFER,
        )
        self._buffer = bytearray(SERIAL_MAX)

    def read(self) -> "bytes | None":
        waiting = self._uart.any()
        if not waiting:
            return b""
        if waiting >= SERIAL_BUFFER - 1:  # full: what came since is gone, and what is here has a hole
            while self._uart.any():
                self._uart.readinto(self._buffer)
            return None
        count = self._uart.readinto(self._buffer)
        return bytes(memoryview(self._buffer)[:count]) if count else b""

    def write(self, octets: bytes) -> None:
        self._uart.write(octets)


class _Pixels:
    """A WS2812 for each connector. Written on change only: sending one holds interrupts off for 30 us."""

    def __init__(self, number: int, count: int) -> None:
        from neopixel import NeoPixel  # type: ignore[import-not-found]

        self._pixels = NeoPixel(machine.Pin(number), count)
        self._shown = [light.DARK] * count
        self._pixels.write()

    def render(self, connectors: "list[ConnectorPins]", now_ms: int) -> None:
        changed = False
        for index, connector in enumerate(connectors):
            pattern = connector.pattern
            colour = light.COLOURS[pattern] if light.is_lit(pattern, now_ms) else light.DARK
            if colour is not self._shown[index]:
                self._shown[index] = colour
                self._pixels[index] = colour
                changed = True
        if changed:
            self._pixels.write()


class BoardPins:
    """The board as a whole; see `board.app.BoardPins`. With an empty map it has no connector and touches no pin."""

    sensors = ("chip_c",)

    def __init__(self, wiring: "Wiring", limits: "list[Limits]") -> None:
        self.model = wiring.model
        self.phases = wiring.phases
        self.pcb = wiring.name
        self.problem = wiring.problem
        self._capture = None  # type: hw_rp2.PilotCapture | None
        if IS_RP2040 and wiring.connectors:
            self._capture = hw_rp2.PilotCapture([roles["cp_adc"] for roles in wiring.connectors])
        self.connectors = [
            ConnectorPins(index, wiring, limits[index], self._capture)
            for index in range(len(wiring.connectors))
        ]
        self.unique_id = "".join(["%02X" % octet for octet in machine.unique_id()])
        self.outputs = tuple(wiring.outputs)
        self._outputs = {name: _out(number) for name, number in wiring.outputs.items()}
        self._serial = [_SerialPort(port) for port in wiring.serial]
        self.serial_ports = [(port["name"], port["baud"]) for port in wiring.serial]
        self._alive = _out_if(wiring.alive)
        self._alive_level = 0
        self._pixels = None  # type: _Pixels | None
        if wiring.neopixel is not None:
            self._pixels = _Pixels(wiring.neopixel, len(self.connectors))
        self._chip = _Converter(analog.CHIP_SENSOR, self._capture)
        self._watchdog = None  # type: machine.WDT | None
        self._ticks = ticks_ms()
        self._now_ms = 0

    def now_ms(self) -> int:
        """Uptime; unlike ticks_ms it does not wrap. To be called at least once in six days."""
        ticks = ticks_ms()
        self._now_ms += ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._now_ms

    def watch_trips(self, on_trip: "Callable[[int, int, int], None]") -> None:
        """Call `on_trip(now_ms, index, bits)` from the interrupt of each residual current input."""
        for index, connector in enumerate(self.connectors):
            for pin, bit in ((connector.rcd_dc, TRIP_DC), (connector.rcd_ac, TRIP_AC)):
                if pin is None:
                    continue
                handler = self._handler(on_trip, index, bit)
                try:
                    # In the interrupt itself, where the port can: garbage collection does not delay it. `on_trip` and
                    # everything below it therefore allocate nothing.
                    pin.irq(handler, machine.Pin.IRQ_FALLING, hard=True)
                except TypeError:
                    pin.irq(handler, machine.Pin.IRQ_FALLING)

    def _handler(
        self, on_trip: "Callable[[int, int, int], None]", index: int, bit: int
    ) -> "Callable[[object], None]":
        def handler(_pin: object) -> None:
            on_trip(self._now_ms, index, bit)

        return handler

    def start_watchdog(self) -> None:
        self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)
        _mark_watchdog(True)

    def feed_watchdog(self) -> None:
        """Also drives the pump: its next half wave."""
        if self._watchdog is not None:
            self._watchdog.feed()
        if self._alive is not None:
            self._alive_level ^= 1
            self._alive.value(self._alive_level)

    def keep_latches(self, word: int) -> None:
        """Nowhere but on an RP2040."""
        if IS_RP2040:
            hw_rp2.keep_latches(word)

    def kept_latches(self) -> int:
        return hw_rp2.kept_latches() if IS_RP2040 else 0

    def set_output(self, name: str, on: bool) -> None:
        self._outputs[name].value(1 if on else 0)

    def read(self, name: str) -> float:
        return analog.chip_dc(self._chip.read()) / 10

    def read_serial(self, index: int) -> "bytes | None":
        return self._serial[index].read()

    def write_serial(self, index: int, octets: bytes) -> None:
        self._serial[index].write(octets)

    def reboot(self, mode: int) -> None:
        self.make_safe()
        if mode == REBOOT_BOOTLOADER:
            machine.bootloader()
        _mark_watchdog(False)
        machine.reset()

    def make_safe(self) -> None:
        for connector in self.connectors:
            connector.make_safe()
        for output in self._outputs.values():
            output.value(0)

    def after_tick(self, now_ms: int) -> None:
        """To be called after every tick: the lights move on, and the pilots are sampled again."""
        for connector in self.connectors:
            connector.render(now_ms)
        if self._pixels is not None:
            self._pixels.render(self.connectors, now_ms)
        if self._capture is not None:
            self._capture.release()


def _mark_watchdog(is_running: bool) -> None:
    if IS_RP2040:
        hw_rp2.mark_watchdog(is_running)


def refuse_break_in() -> None:
    """A Ctrl-C on the console is a byte like any other from now on: no host on USB may stop the firmware by it."""
    if kbd_intr is not None:
        kbd_intr(-1)


def reset_cause() -> int:
    """Why the board started. To be asked once."""
    if IS_RP2040:
        return hw_rp2.reset_cause()
    cause = machine.reset_cause()
    if cause == machine.WDT_RESET:
        return RESET_WATCHDOG
    return RESET_POWER if cause == machine.PWRON_RESET else RESET_SOFT


class FileStorage:
    """A small file that is whole or the one before (board/config.py)."""

    def __init__(self, path: str) -> None:
        self._path = path

    def read(self) -> bytes:
        try:
            with open(self._path, "rb") as file:
                return file.read()
        except OSError:
            return b""

    def write(self, octets: bytes) -> None:
        """Raises OSError when the flash is full or broken."""
        draft = self._path + ".new"
        with open(draft, "wb") as file:
            file.write(octets)
        os.rename(draft, self._path)


class UartPort:
    """The host on a UART. 1024 bytes of buffer cover a pause of 88 ms at 115200 baud, and let no tick wait
    while all kept events go out again."""

    def __init__(self, wiring: "Wiring") -> None:
        tx, rx = wiring.uart_pins
        self._uart = machine.UART(
            wiring.uart_id,
            wiring.uart_baud,
            tx=machine.Pin(tx),
            rx=machine.Pin(rx),
            rxbuf=_UART_BUFFER,
            txbuf=_UART_BUFFER,
        )
        self._buffer = bytearray(_READ_MAX)

    def read(self) -> bytes:
        if not self._uart.any():
            return b""
        count = self._uart.readinto(self._buffer)
        return bytes(memoryview(self._buffer)[:count]) if count else b""

    def write(self, octets: bytes) -> None:
        self._uart.write(octets)


class UsbPort:
    """The host on the USB port that is also the console: frames are text, so both get along.

    A host that keeps the port open but reads no more would make each line wait half a second, without a tick. It does
    not send, either: after 10 s of silence it gets no more frames until it is heard again."""

    def __init__(self) -> None:
        self._is_deaf = False
        self._heard_at = ticks_ms()
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)

    def read(self) -> bytes:
        chunk = b""
        while len(chunk) < _READ_MAX and self._poll.poll(0):
            chunk += sys.stdin.buffer.read(1)
        if chunk:
            self._is_deaf = False
            self._heard_at = ticks_ms()
        elif not self._is_deaf:
            self._is_deaf = ticks_diff(ticks_ms(), self._heard_at) > _DEAF_MS
        return chunk

    def write(self, octets: bytes) -> None:
        if self._is_deaf and octets[:1] == b"~":
            return
        sys.stdout.buffer.write(octets)


def open_port(wiring: "Wiring") -> "UartPort | UsbPort":
    return UartPort(wiring) if wiring.link == "uart" else UsbPort()
