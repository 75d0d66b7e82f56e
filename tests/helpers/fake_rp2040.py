"""As much of an RP2040 as `board/hw_rp2.py` touches: converter with FIFO, a DMA channel with a ring, scratch register.

`FakeRp2040.install` puts it in the place of MicroPython's modules and gives `board.hw_rp2`; the viper function in it
then runs as Python. Time is `run(us)`: the converter takes a sample every 2 us of what `volts(channel, us)` says.
"""

import importlib
import sys
from array import array
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import board

CS, FCS, RESULT_FIFO, DIV = 0x4004C000, 0x4004C008, 0x4004C00C, 0x4004C010
SET, CLEAR = 0x2000, 0x3000
SCRATCH2, SCRATCH3 = 0x40058014, 0x40058018
FIFO_DEPTH = 8
US_PER_SAMPLE = 2


def level_of(volts: float) -> int:
    """12 bits: -15 to +15 V."""
    return max(0, min(4095, round((volts + 15) / 30 * 4096)))


class FakeRp2040:
    """Also `machine` and `machine.mem32`."""

    PWRON_RESET = 1
    WDT_RESET = 3

    def __init__(self, volts: Callable[[int, float], float]) -> None:
        self.volts = volts
        self.us = 0.0
        self.cause = self.PWRON_RESET
        self.scratch = {SCRATCH2: 0, SCRATCH3: 0}
        self.adc_pins: list[int] = []
        self.dma: FakeDma | None = None
        self.arrays: dict[int, array[int]] = {}
        self._cs = 0
        self._fcs = 0
        self._fifo: list[int] = []
        self.mem32 = self

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        machine = ModuleType("machine")
        for name in ("mem32", "PWRON_RESET", "WDT_RESET", "ADC", "reset_cause"):
            setattr(machine, name, getattr(self, name))
        micropython = SimpleNamespace(viper=lambda function: function, const=lambda value: value)
        for name, module in {
            "machine": machine,
            "micropython": micropython,
            "rp2": SimpleNamespace(DMA=lambda: FakeDma(self)),
            "uctypes": SimpleNamespace(addressof=self.address_of),
        }.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.delitem(sys.modules, "board.hw_rp2", raising=False)
        hw_rp2 = importlib.import_module("board.hw_rp2")
        monkeypatch.delitem(sys.modules, "board.hw_rp2")
        del board.hw_rp2  # type: ignore[attr-defined]  # nobody else shall find it
        monkeypatch.setattr(hw_rp2, "ptr16", lambda place: place, raising=False)
        return hw_rp2

    # ---- machine

    def ADC(self, number: int) -> None:
        self.adc_pins.append(number)
        self._cs |= 1

    def reset_cause(self) -> int:
        return self.cause

    def address_of(self, buffer: Any) -> int:
        """Arrays lie at an address that no ring may begin at."""
        if isinstance(buffer, array):
            address = 0x20010006
            self.arrays[address] = buffer
            return address
        (address, room) = next(iter(self.arrays.items()))
        offset = _offset_of(buffer, room)
        return address + 2 * offset

    # ---- mem32

    def __getitem__(self, address: int) -> int:
        if address in self.scratch:
            return self.scratch[address]
        if address == CS:
            self.run(US_PER_SAMPLE)
            is_converting = self._cs & 1 << 3
            return self._cs if is_converting else self._cs | 1 << 8
        if address == FCS:
            return self._fcs | len(self._fifo) << 16
        assert address == RESULT_FIFO
        return self._fifo.pop(0)

    def __setitem__(self, address: int, value: int) -> None:
        if address == CS + SET:
            self._cs |= value
        elif address == CS + CLEAR:
            self._cs &= ~value
        elif address == FCS:
            cleared = value & 3 << 10
            self._fcs = (self._fcs & ~cleared & 3 << 10) | value & ~(3 << 10)
        elif address in self.scratch:
            self.scratch[address] = value
        else:
            assert (address, value) == (DIV, 0)

    # ---- time

    def run(self, us: float, dma_stalls: bool = False) -> None:
        """Let time pass; with `dma_stalls` nobody empties the FIFO meanwhile."""
        end_us = self.us + us
        while self.us + US_PER_SAMPLE <= end_us:
            self.us += US_PER_SAMPLE
            if self._cs & 1 << 3:
                self._convert(dma_stalls)

    def _convert(self, dma_stalls: bool) -> None:
        channel = self._cs >> 12 & 7
        level = level_of(self.volts(channel, self.us))
        others = [number for number in range(5) if self._cs >> 16 & 1 << number]
        if others:
            following = [number for number in others if number > channel] or others
            self._cs = self._cs & ~(7 << 12) | following[0] << 12
        if not self._fcs & 1:
            return
        if len(self._fifo) == FIFO_DEPTH:
            self._fcs |= 1 << 11
            return
        self._fifo.append(level)
        if self.dma is not None and self._fcs & 1 << 3 and not dma_stalls:
            while self._fifo:
                self.dma.transfer(self._fifo.pop(0))


class FakeDma:
    """`rp2.DMA` that moves half words from the FIFO into a ring."""

    def __init__(self, chip: FakeRp2040) -> None:
        self.count = 0
        self._chip = chip
        self._write = 0
        self._ctrl: dict[str, Any] = {}
        self._is_active = False
        chip.dma = self

    def pack_ctrl(self, **fields: Any) -> dict[str, Any]:
        assert fields["size"] == 1
        assert fields["treq_sel"] == 36
        assert (fields["inc_read"], fields["inc_write"], fields["ring_sel"]) == (False, True, True)
        return fields

    def config(self, *, read: int, write: int, count: int, ctrl: dict[str, Any], trigger: bool) -> None:
        assert read == RESULT_FIFO
        assert write % (1 << ctrl["ring_size"]) == 0, "a ring begins where its size divides the address"
        self._write, self.count, self._ctrl, self._is_active = write, count, ctrl, trigger

    def active(self, value: int) -> None:
        self._is_active = bool(value)

    def transfer(self, level: int) -> None:
        if not self._is_active or not self.count:
            return
        address, room = next(iter(self._chip.arrays.items()))
        room[(self._write - address) // 2] = level
        ring = 1 << self._ctrl["ring_size"]
        self._write = self._write & ~(ring - 1) | self._write + 2 & ring - 1
        self.count -= 1


def _offset_of(view: Any, room: "array[int]") -> int:
    """Where a memoryview begins in the array that it is of."""
    mark = room[:]
    for index in range(len(room)):
        room[index] = index
    offset = int(view[0])
    room[:] = mark
    return offset
