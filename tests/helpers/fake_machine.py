"""MicroPython's `machine` (and `neopixel`) for `board/hw.py` under CPython: pins, converter and UARTs are dictionaries.

`FakeMachine.install` puts it in place and gives `board.hw`. No time passes by itself: `ms` is `time.ticks_ms`.
"""

import importlib
import sys
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import board


class FakeMachine:
    def __init__(self) -> None:
        self.levels: dict[int, int] = {}
        """Of pins, written or to be read."""
        self.adc: dict[int, int] = {}
        self.pwm: dict[int, int] = {}
        self.irqs: dict[int, Callable[[object], None]] = {}
        self.hard_irqs: set[int] = set()
        self.has_hard_irqs = True
        self.uarts: dict[int, FakeUart] = {}
        self.pixels: list[list[tuple[int, int, int]]] = []
        self.touched: set[int] = set()
        self.fed = 0
        self.resets: list[str] = []
        self.cause = 1
        self.ms = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        machine = ModuleType("machine")
        fake = self

        class Pin(_Pin):
            chip = fake

        machine.Pin = Pin  # type: ignore[attr-defined]
        machine.PWM = lambda pin, freq, duty_u16: _Pwm(fake, pin.number, freq, duty_u16)  # type: ignore[attr-defined]
        machine.ADC = lambda number: SimpleNamespace(read_u16=lambda: fake.adc.get(number, 0))  # type: ignore[attr-defined]
        machine.UART = self._uart  # type: ignore[attr-defined]
        machine.WDT = lambda timeout: SimpleNamespace(feed=fake._feed)  # type: ignore[attr-defined]
        machine.unique_id = lambda: b"\x01\xab"  # type: ignore[attr-defined]
        machine.reset = lambda: fake.resets.append("reset")  # type: ignore[attr-defined]
        machine.bootloader = lambda: fake.resets.append("bootloader")  # type: ignore[attr-defined]
        machine.reset_cause = lambda: fake.cause  # type: ignore[attr-defined]
        machine.PWRON_RESET, machine.WDT_RESET = 1, 3  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "machine", machine)
        monkeypatch.setitem(sys.modules, "neopixel", SimpleNamespace(NeoPixel=self._pixel_string))
        monkeypatch.setattr(time, "ticks_ms", lambda: fake.ms, raising=False)
        monkeypatch.setattr(time, "ticks_diff", lambda now, then: now - then, raising=False)
        monkeypatch.delitem(sys.modules, "board.hw", raising=False)
        hw = importlib.import_module("board.hw")
        monkeypatch.delitem(sys.modules, "board.hw")
        del board.hw  # type: ignore[attr-defined]  # nobody else shall find it
        return hw

    def _feed(self) -> None:
        self.fed += 1

    def _uart(self, number: int, baud: int, *, tx: Any, rx: Any, rxbuf: int, txbuf: int) -> "FakeUart":
        self.uarts[number] = FakeUart(baud, (tx.number, rx.number), rxbuf)
        return self.uarts[number]

    def _pixel_string(self, pin: Any, count: int) -> "_PixelString":
        return _PixelString(self, count)


class _Pin:
    IN, OUT, PULL_UP, PULL_DOWN, IRQ_FALLING = 0, 1, 1, 2, 4
    chip: FakeMachine

    def __init__(self, number: int, mode: int = -1, pull: int = -1, *, value: int | None = None) -> None:
        self.number = number
        self.chip.touched.add(number)
        if mode == self.OUT:
            assert value is not None, "an output needs its safe level before it becomes one"
            self.chip.levels[number] = value
        elif mode == self.IN and pull == self.PULL_UP:
            self.chip.levels.setdefault(number, 1)  # a broken wire
        elif mode == self.IN:
            self.chip.levels.setdefault(number, 0)

    def value(self, level: int | None = None) -> int | None:
        if level is None:
            return self.chip.levels[self.number]
        self.chip.levels[self.number] = level
        return None

    def irq(self, handler: Callable[[object], None], trigger: int, *, hard: bool = False) -> None:
        if hard and not self.chip.has_hard_irqs:
            raise TypeError("extra keyword arguments given")
        assert trigger == self.IRQ_FALLING
        self.chip.irqs[self.number] = handler
        if hard:
            self.chip.hard_irqs.add(self.number)


class _Pwm:
    def __init__(self, chip: FakeMachine, number: int, freq: int, duty: int) -> None:
        assert freq == 1000
        self._chip = chip
        self._number = number
        self.duty_u16(duty)

    def duty_u16(self, duty: int) -> None:
        self._chip.pwm[self._number] = duty


class FakeUart:
    def __init__(self, baud: int, pins: tuple[int, int], rxbuf: int) -> None:
        self.baud = baud
        self.pins = pins
        self.rxbuf = rxbuf
        self.received = bytearray()
        self.sent = bytearray()

    def any(self) -> int:
        return min(len(self.received), self.rxbuf)

    def readinto(self, buffer: bytearray) -> int | None:
        chunk = bytes(self.received[: len(buffer)])
        del self.received[: len(buffer)]
        buffer[: len(chunk)] = chunk
        return len(chunk) or None

    def write(self, octets: bytes) -> None:
        self.sent += octets


class _PixelString:
    def __init__(self, chip: FakeMachine, count: int) -> None:
        self._chip = chip
        self._colours = [(0, 0, 0)] * count

    def __setitem__(self, index: int, colour: tuple[int, int, int]) -> None:
        self._colours[index] = colour

    def write(self) -> None:
        self._chip.pixels.append(list(self._colours))
