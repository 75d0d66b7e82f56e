"""A serial port of the I/O board as a `ByteStream`: what hangs there is driven as if it hung on the host.

The board passes bytes through and knows nothing of their meaning (`board/tunnel.py`). Frames of the tunnel are not
acknowledged: a lost one is what a lost byte is on any serial line, and card readers repeat themselves or are asked
again. A link that goes down, and a board that restarts, end the stream, so that its driver starts the device anew;
nothing that was said meanwhile is heard later. Built by hal.factory for `port = "board:<name>"`.
"""

import asyncio
import logging
from typing import Final

from board import wire
from hal.bus.byte_stream import OnBytes, OnLost
from hal.drivers.board_link import BoardLink
from hal.errors import DeviceMissing

log = logging.getLogger("hal.board")

OPEN_WAIT_S: Final = 5.0
"""Opening waits so long for a board that is not linked: at the start, and while a cable is out."""
BITS: Final = 10
"""Of one byte on the line, with start and stop bit."""


class BoardStream:
    """`port` is the name that the board's pin map gives the UART; `baud_rate` what the device there needs.

    `lost` counts writes that were dropped because the line had too much to send already."""

    def __init__(self, link: BoardLink, port: str, baud_rate: int) -> None:
        self._link = link
        self._port = port
        self._baud_rate = baud_rate
        self._linked = asyncio.Event()
        self._callbacks: tuple[OnBytes, OnLost] | None = None
        self._free_time = 0.0
        self.lost = 0
        link.observe_serial(port, self)

    @property
    def name(self) -> str:
        return f"board:{self._port}"

    async def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        """Raises DeviceMissing: no board, no such port on it, or one that runs at another speed."""
        self.close()
        try:
            async with asyncio.timeout(OPEN_WAIT_S):
                await self._linked.wait()
        except TimeoutError:
            raise DeviceMissing(f"{self.name}: no link to the board") from None
        ports = dict(self._link.identity.serial_ports) if self._link.identity else {}
        if self._port not in ports:
            there = f"it has: {', '.join(ports)}" if ports else "it has none"
            raise DeviceMissing(f"{self.name}: the board has no serial port {self._port!r}; {there}")
        if ports[self._port] != self._baud_rate:
            raise DeviceMissing(
                f"{self.name}: the board runs it at {ports[self._port]} baud, the reader needs {self._baud_rate};"
                " change the board's pin map or baud_rate"
            )
        self._callbacks = (on_bytes, on_lost)

    def write(self, octets: bytes) -> None:
        """Send by the board. More than it can keep until the line has sent it is dropped."""
        if self._callbacks is None:
            return
        now = asyncio.get_running_loop().time()
        begin = max(now, self._free_time)
        if (begin - now) * self._baud_rate / BITS + len(octets) > wire.SERIAL_BUFFER:
            self.lost += 1
            log.debug("%s: %d bytes were too many", self.name, len(octets))
            return
        self._free_time = begin + len(octets) * BITS / self._baud_rate
        for at in range(0, len(octets), wire.SERIAL_MAX):
            self._link.send_serial(self._port, octets[at : at + wire.SERIAL_MAX])

    def close(self) -> None:
        self._callbacks = None

    # ---- hal.drivers.board_link.SerialObserver

    def on_serial(self, octets: bytes) -> None:
        if self._callbacks is not None:
            self._callbacks[0](octets)

    def on_line(self, is_linked: bool) -> None:
        if is_linked:
            self._linked.set()
            return
        self._linked.clear()
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            callbacks[1](DeviceMissing(f"{self.name}: the link to the board went down"))
