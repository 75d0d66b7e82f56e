"""Firmware of the EV test box: a second Raspberry Pi Pico whose relays play a car, told what by lines of text.

Install it with `mpremote cp tests/rig/ev_box.py :main.py`. One line asks, one line answers on the same USB port:
`who`, `A` to `E`, `diode 0|1`, `pp 0|13|20|32|63`, `pilot` -> `ok ...` or `error ...`. At start, and when nobody has
said anything for five minutes, the box is unplugged (A). Wiring and parts: docs/rig.md. MicroPython subset;
`EvBox` knows no pin, so that it runs under CPython too.
"""

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Relay(Protocol):
        def value(self, level: int) -> object: ...


VERSION = "ev-box 1"
RELAYS = {
    "plug": 2,  # the car's end of the pilot: diode and 2.74 kOhm
    "s2": 3,  # 1.3 kOhm beside it: 882 Ohm
    "fan": 4,  # 270 Ohm beside it: 246 Ohm
    "short": 5,  # pilot to earth
    "no_diode": 6,  # bridges the diode
    "pp13": 7,  # 1.5 kOhm from proximity pilot to earth
    "pp20": 8,  # 680 Ohm
    "pp32": 9,  # 220 Ohm
    "pp63": 10,  # 100 Ohm
}
"""Relay -> GP number; 1 = on. All off: unplugged, diode whole, no cable."""
SENSE_PIN = 15
"""The pilot through a divider and a clamp: 1 while it is above about +2 V."""
STATES = {
    "A": (),
    "B": ("plug",),
    "C": ("plug", "s2"),
    "D": ("plug", "fan"),
    "E": ("plug", "short"),
}
CABLES = (0, 13, 20, 32, 63)
LET_GO_MS = 300000
_PILOT_RELAYS = ("plug", "s2", "fan", "short")
_SETTLE_MS = 10
_PULSES = 50
_PULSE_TIMEOUT_US = 5000


class EvBox:
    """`pins`: relay name -> something with `value(level)`.

    `measure()`: one (high, low) pair of the pilot in us, or its level (0 or 1) when it stands still."""

    def __init__(
        self,
        pins: "Mapping[str, Relay]",
        measure: "Callable[[], tuple[int, int] | int]",
        sleep_ms: "Callable[[int], object]",
    ) -> None:
        self._pins = pins
        self._measure = measure
        self._sleep_ms = sleep_ms
        self.let_go()

    def let_go(self) -> None:
        """Unplugged, diode whole, a 32 A cable."""
        self._plug("A")
        self._pins["no_diode"].value(0)
        self._cable(32)

    def answer(self, line: str) -> str:
        """The answer to one line, without a newline."""
        words = line.split()
        try:
            if len(words) == 1 and words[0] in STATES:
                self._plug(words[0])
                return "ok " + words[0]
            if words == ["who"]:
                return "ok " + VERSION
            if words == ["pilot"]:
                return "ok " + self._pilot()
            if len(words) == 2 and words[0] == "diode" and words[1] in ("0", "1"):
                self._pins["no_diode"].value(0 if words[1] == "1" else 1)
                self._sleep_ms(_SETTLE_MS)
                return "ok " + line.strip()
            if len(words) == 2 and words[0] == "pp" and int(words[1]) in CABLES:
                self._cable(int(words[1]))
                return "ok " + line.strip()
        except ValueError:
            pass
        return "error what is: " + line.strip()[:40]

    def _plug(self, state: str) -> None:
        wanted = STATES[state]
        # First off, then on, and the plug first: a car that is pulled out leaves with S2 as it stands.
        for name in _PILOT_RELAYS:
            if name not in wanted:
                self._pins[name].value(0)
        for name in reversed(_PILOT_RELAYS):
            if name in wanted:
                self._pins[name].value(1)
        self._sleep_ms(_SETTLE_MS)

    def _cable(self, rating: int) -> None:
        for other in CABLES[1:]:
            self._pins["pp%d" % other].value(1 if other == rating else 0)
        self._sleep_ms(_SETTLE_MS)

    def _pilot(self) -> str:
        """`<duty in 0.01 %> <frequency in 0.1 Hz>`, the mean of many periods; frequency 0 without PWM."""
        high_us = low_us = 0
        for _ in range(_PULSES):
            pair = self._measure()
            if isinstance(pair, int):
                return "%d 0" % (10000 * pair)
            high_us += pair[0]
            low_us += pair[1]
        period_us = high_us + low_us
        return "%d %d" % (
            (10000 * high_us + period_us // 2) // period_us,
            (10000000 * _PULSES + period_us // 2) // period_us,
        )


def serve(
    box: EvBox,
    read_line: "Callable[[int], str | None]",
    write: "Callable[[str], object]",
    ticks_ms: "Callable[[], int]",
    ticks_diff: "Callable[[int, int], int]",
) -> None:
    """Answer line after line, for ever. `read_line(timeout_ms)` gives None when nothing came."""
    heard_at = ticks_ms()
    is_let_go = True
    while True:
        line = read_line(1000)
        if line is None:
            if not is_let_go and ticks_diff(ticks_ms(), heard_at) > LET_GO_MS:
                box.let_go()
                is_let_go = True
        elif line.strip():
            heard_at = ticks_ms()
            is_let_go = False
            write(box.answer(line) + "\n")


def _on_pico() -> None:
    import select

    from machine import Pin, time_pulse_us  # type: ignore[import-not-found]

    pins = {name: Pin(number, Pin.OUT, value=0) for name, number in RELAYS.items()}
    sense = Pin(SENSE_PIN, Pin.IN)

    def measure() -> "tuple[int, int] | int":
        # A pulse that has begun already is measured short: each one that counts is waited for from the other level.
        time_pulse_us(sense, 1, _PULSE_TIMEOUT_US)
        high_us = time_pulse_us(sense, 1, _PULSE_TIMEOUT_US)
        time_pulse_us(sense, 0, _PULSE_TIMEOUT_US)
        low_us = time_pulse_us(sense, 0, _PULSE_TIMEOUT_US)
        return (high_us, low_us) if high_us > 0 and low_us > 0 else sense.value()

    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)

    def read_line(timeout_ms: int) -> "str | None":
        return sys.stdin.readline() if poll.poll(timeout_ms) else None

    box = EvBox(pins, measure, time.sleep_ms)  # type: ignore[attr-defined]
    serve(box, read_line, sys.stdout.write, time.ticks_ms, time.ticks_diff)  # type: ignore[attr-defined]


if __name__ == "__main__":
    _on_pico()
