"""A UART of the simulated board, beside that of the host: where a card reader hangs on a real one.

Bytes take the time that the baud rate gives them; what the firmware does not fetch in time is lost, as in a real
receive buffer. What hangs on the port is played by `device` and `send` (hal/sim/card_readers.py). Built by
hal.sim.firmware.
"""

import asyncio
from collections.abc import Callable

from board import wire

BITS = 10
"""Of one byte on the line, with start and stop bit."""


class SimulatedSerialPort:
    def __init__(self, loop: asyncio.AbstractEventLoop, baud_rate: int, wake: Callable[[], None]) -> None:
        self.baud_rate = baud_rate
        self.device: Callable[[bytes], None] = lambda octets: None
        """Called with what the board sends, when it has arrived."""
        self._loop = loop
        self._wake = wake
        self._received = bytearray()
        self._has_overflown = False
        self._free_time = {"in": 0.0, "out": 0.0}

    def send(self, octets: bytes) -> None:
        """The device says something."""
        self._loop.call_at(self._arrival_time("in", octets), self._take, octets)

    def _take(self, octets: bytes) -> None:
        room = wire.SERIAL_BUFFER - len(self._received)
        self._received += octets[:room]
        self._has_overflown = self._has_overflown or len(octets) > room
        self._wake()

    def _arrival_time(self, direction: str, octets: bytes) -> float:
        begin = max(self._loop.time(), self._free_time[direction])
        self._free_time[direction] = begin + len(octets) * BITS / self.baud_rate
        return self._free_time[direction]

    def power_off(self) -> None:
        """The board starts anew: its buffer is empty. The device has its own supply."""
        self._received.clear()
        self._has_overflown = False

    # ---- board.tunnel.SerialPins, of this port

    def read(self) -> bytes | None:
        if self._has_overflown:
            self.power_off()
            return None
        piece = bytes(self._received[: wire.SERIAL_MAX])
        del self._received[: wire.SERIAL_MAX]
        return piece

    def write(self, octets: bytes) -> None:
        self._loop.call_at(self._arrival_time("out", octets), self._deliver, octets)

    def _deliver(self, octets: bytes) -> None:
        self.device(octets)
