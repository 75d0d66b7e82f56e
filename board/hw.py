"""The pins as objects: what `board/connector.py` and `board/app.py` need of the hardware, on `machine`.

The only file that imports `machine`; it decides nothing. Reset state: every pin floats and the pulls of the
carrier hold the safe side (contactor open, motor idle); `__init__` writes the safe level before it makes a pin
an output. Pilot: 130 reads of about 12 us cover one and a half periods of 1 kHz.
"""

import select
import sys
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

import machine  # type: ignore[import-not-found]

from board import pins
from board.connector import INPUT_DOOR, INPUT_EMERGENCY, INPUT_TILT, PILOT_OUT_E
from board.lock import TO_LOCKED, TO_OPEN
from board.residual import TRIP_AC, TRIP_DC
from board.wire import DUTY_OFF, REBOOT_BOOTLOADER, RESET_POWER, RESET_SOFT, RESET_WATCHDOG, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PILOT_HZ = const(1000)
_SAMPLES = const(130)
_WATCHDOG_MS = const(500)
_SLOW_TICKS = const(100)
"""The chip's temperature is read once in so many ticks."""
_READ_MAX = const(256)


def _out(number: int) -> "machine.Pin":
    return machine.Pin(number, machine.Pin.OUT, value=0)


class ConnectorPins:
    """One connector's pins; see `board.connector.ConnectorPins`."""

    has_rcd_test = True
    can_wake = True

    def __init__(self, wiring: "dict[str, int]") -> None:
        self._contactor = _out(wiring["contactor"])
        self.max_da = wiring["max_da"]
        self.has_lock = bool(wiring["has_lock"])
        self.has_ventilation = bool(wiring["has_ventilation"])
        self.high_mv = 0
        self.low_mv = 0
        self._cp_short = _out(wiring["cp_short"])
        self._pwm = machine.PWM(machine.Pin(wiring["cp_pwm"]), freq=_PILOT_HZ, duty_u16=65535)
        self._read_pilot = machine.ADC(wiring["cp_adc"]).read_u16
        self._pp = machine.ADC(wiring["pp_adc"])
        self._residual = machine.ADC(wiring["residual_adc"])
        self._mirror = machine.Pin(wiring["mirror"], machine.Pin.IN, machine.Pin.PULL_UP)
        self.rcd_dc = machine.Pin(wiring["rcd_dc"], machine.Pin.IN, machine.Pin.PULL_DOWN)
        self.rcd_ac = machine.Pin(wiring["rcd_ac"], machine.Pin.IN, machine.Pin.PULL_DOWN)
        self._rcd_test = _out(wiring["rcd_test"])
        self._lock_motor = _out(wiring["lock_motor"])
        self._unlock_motor = _out(wiring["unlock_motor"])
        self._bolt = machine.Pin(wiring["bolt"], machine.Pin.IN, machine.Pin.PULL_UP)
        self._light = _out(wiring["light"])
        self._pattern = "off"
        self._shared_inputs = _input_pins()
        self._thermometer = machine.ADC(pins.TEMPERATURE_ADC)
        self._slow = 0
        self._temperature = 250

    def make_safe(self) -> None:
        """Whatever went wrong: open, no offer, motor idle."""
        self._contactor.value(0)
        self._pwm.duty_u16(65535)
        self._lock_motor.value(0)
        self._unlock_motor.value(0)

    def sample(self) -> bool:
        read = self._read_pilot
        high = 0
        low = 65535
        count = _SAMPLES
        while count:
            level = read()
            if level > high:
                high = level
            if level < low:
                low = level
            count -= 1
        # Integers below 2^30 do not touch the heap.
        self.high_mv = high * 15000 // 32768 - 15000
        self.low_mv = low * 15000 // 32768 - 15000
        return True

    def set_pilot(self, duty: int) -> None:
        if duty == PILOT_OUT_E:
            self._pwm.duty_u16(65535)
            self._cp_short.value(1)
        else:
            self._cp_short.value(0)
            self._pwm.duty_u16(65535 if duty == DUTY_OFF else duty * 65535 // 10000)

    def set_contactor(self, closed: bool) -> None:
        self._contactor.value(1 if closed else 0)

    def is_closed(self) -> bool:
        return bool(self._mirror.value())

    def rcd_trips(self) -> int:
        return (0 if self.rcd_dc.value() else TRIP_DC) | (0 if self.rcd_ac.value() else TRIP_AC)

    def set_rcd_test(self, on: bool) -> None:
        self._rcd_test.value(1 if on else 0)

    def residual(self) -> int:
        return int(self._residual.read_u16()) * 1000 // 65535

    def proximity_ohm(self) -> int:
        level = int(self._pp.read_u16())
        return 0 if level > 60000 else 1000 * level // (65535 - level)

    def drive_lock(self, direction: int) -> None:
        self._lock_motor.value(1 if direction == TO_LOCKED else 0)
        self._unlock_motor.value(1 if direction == TO_OPEN else 0)

    def is_locked(self) -> bool:
        return not self._bolt.value()

    def temperature(self) -> int:
        self._slow -= 1
        if self._slow < 0:
            self._slow = _SLOW_TICKS
            # 0.706 V at 27 C, -1.721 mV per C; below 1 V this stays under 2^30, too.
            microvolt = int(self._thermometer.read_u16()) * 50355 // 1000
            self._temperature = 270 - (microvolt - 706000) * 10 // 1721
        return self._temperature

    def inputs(self) -> int:
        bits = 0
        for pin, bit in self._shared_inputs:
            if pin.value():
                bits |= bit
        return bits

    def outlet(self) -> int:
        return 1

    def show(self, pattern: str) -> None:
        self._pattern = pattern

    def render(self, now_ms: int) -> None:
        """Move the light on; called once per tick."""
        pattern = self._pattern
        if pattern == "blink":
            on = now_ms % 1000 < 500
        elif pattern == "fast":
            on = now_ms % 250 < 125
        elif pattern == "flash":
            on = now_ms % 2000 < 100
        elif pattern == "breathe":
            on = now_ms % 3000 < 2000
        else:
            on = pattern == "on"
        self._light.value(1 if on else 0)


def _input_pins() -> "list[tuple[machine.Pin, int]]":
    wired = ((pins.EMERGENCY, INPUT_EMERGENCY), (pins.DOOR, INPUT_DOOR), (pins.TILT, INPUT_TILT))
    return [
        (machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP), bit)
        for number, bit in wired
        if number is not None
    ]


class BoardPins:
    """The board as a whole; see `board.app.BoardPins`."""

    model = pins.MODEL
    phases = pins.PHASES
    sensors = ("chip_c",)

    def __init__(self) -> None:
        self.connectors = [ConnectorPins(wiring) for wiring in pins.CONNECTORS]
        self.unique_id = "".join(["%02X" % octet for octet in machine.unique_id()])
        self.outputs = tuple(pins.OUTPUTS)
        self._outputs = {name: _out(number) for name, number in pins.OUTPUTS.items()}
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
                pin.irq(self._handler(on_trip, index, bit), machine.Pin.IRQ_FALLING)

    def _handler(
        self, on_trip: "Callable[[int, int, int], None]", index: int, bit: int
    ) -> "Callable[[object], None]":
        def handler(_pin: object) -> None:
            on_trip(self._now_ms, index, bit)

        return handler

    def start_watchdog(self) -> None:
        self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)

    def feed_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.feed()

    def set_output(self, name: str, on: bool) -> None:
        self._outputs[name].value(1 if on else 0)

    def read(self, name: str) -> float:
        return self.connectors[0].temperature() / 10

    def reboot(self, mode: int) -> None:
        self.make_safe()
        if mode == REBOOT_BOOTLOADER:
            machine.bootloader()
        machine.reset()

    def make_safe(self) -> None:
        for connector in self.connectors:
            connector.make_safe()
        for output in self._outputs.values():
            output.value(0)

    def render(self, now_ms: int) -> None:
        for connector in self.connectors:
            connector.render(now_ms)


def reset_cause() -> int:
    cause = machine.reset_cause()
    if cause == machine.WDT_RESET:
        return RESET_WATCHDOG
    return RESET_POWER if cause == machine.PWRON_RESET else RESET_SOFT


class UartPort:
    """The host on a UART. 1024 bytes of buffer cover a pause of 88 ms at 115200 baud, and let no tick wait
    while all kept events go out again."""

    def __init__(self) -> None:
        self._uart = machine.UART(pins.UART_ID, pins.UART_BAUD, rxbuf=1024, txbuf=1024)
        self._buffer = bytearray(_READ_MAX)

    def read(self) -> bytes:
        if not self._uart.any():
            return b""
        count = self._uart.readinto(self._buffer)
        return bytes(memoryview(self._buffer)[:count]) if count else b""

    def write(self, octets: bytes) -> None:
        self._uart.write(octets)


class UsbPort:
    """The host on the USB port that is also the console: frames are text, so both get along."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)

    def read(self) -> bytes:
        chunk = b""
        while len(chunk) < _READ_MAX and self._poll.poll(0):
            chunk += sys.stdin.buffer.read(1)
        return chunk

    def write(self, octets: bytes) -> None:
        sys.stdout.buffer.write(octets)


def open_port() -> "UartPort | UsbPort":
    return UartPort() if pins.LINK == "uart" else UsbPort()
