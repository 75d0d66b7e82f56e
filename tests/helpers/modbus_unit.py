"""Modbus units played by a test: registers by formula, answers late, never, garbled or refused.

They answer in the order in which they were asked, each after its own delay, as a meter or a gateway does.
Independent of `hal.bus.modbus` but for the checksum; pymodbus is the wholly independent meter in
tests/hal/bus/test_modbus_pymodbus.py.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable, Iterator

from hal.bus.modbus import with_crc
from tests.helpers.links import MemoryLine

SILENT = None
"""A delay that never ends."""

Registers = Callable[[int, int, int], int | None]
"""(unit, function, address) -> the register there; None: no such register."""


def plain_registers(unit: int, function: int, address: int) -> int | None:
    """A number that tells where it came from."""
    return (unit << 13 ^ function << 10 ^ address * 7) & 0xFFFF


class ModbusUnits:
    """All units of one line. `delays` are used up one per request; afterwards the answer comes at once."""

    def __init__(
        self,
        line: MemoryLine,
        registers: Registers = plain_registers,
        delays: Iterable[float | None] = (),
    ) -> None:
        self.line = line
        self.registers = registers
        self.delays: Iterator[float | None] = iter(delays)
        self.requests: list[tuple[int, int, int, int]] = []
        """(unit, function, address, count) of every request seen."""
        self.before_answer = b""
        """Bytes that stand on the line before each answer: noise, or an adapter's echo."""
        self._heard = b""
        self._free_time = 0.0
        line.device = self._on_request

    def _on_request(self, octets: bytes) -> None:
        self._heard = (self._heard + octets)[-8:]
        if len(self._heard) < 8 or with_crc(self._heard[:6]) != self._heard:
            return
        unit, function, address, count = struct.unpack(">BBHH", self._heard[:6])
        self._heard = b""
        self.requests.append((unit, function, address, count))
        delay = next(self.delays, 0.0)
        if delay is SILENT:
            return
        loop = asyncio.get_running_loop()
        self._free_time = max(self._free_time, loop.time() + delay)
        loop.call_at(self._free_time, self.line.send, self.before_answer + self._answer(*self.requests[-1]))

    def _answer(self, unit: int, function: int, address: int, count: int) -> bytes:
        words = [self.registers(unit, function, address + offset) for offset in range(count)]
        if None in words:
            return with_crc(bytes((unit, function | 0x80, 2)))
        return with_crc(struct.pack(f">BBB{count}H", unit, function, 2 * count, *words))
